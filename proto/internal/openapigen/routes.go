package main

import (
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	optionsv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/options/v1"
)

// route is one REST binding of an RPC.
type route struct {
	method     protoreflect.MethodDescriptor
	verb, path string
	// body is the name of the request field in the body: "*" for the whole request, ""
	// without a body, uploadBody for a form.
	body string
	// params are the fields in the path.
	params []string
}

const (
	uploadBody = "(multipart form)"
	uploadPath = "/v1/collections/{collection_id}/documents:upload"
	runEvent   = protoreflect.FullName("gatehouse.chat.v1.RunEvent")
	httpBody   = protoreflect.FullName("google.api.HttpBody")
)

// routesOf returns the routes of a service. The upload has no annotation, because a
// google.api.http rule cannot describe a stream of messages that is sent as a form.
func routesOf(service protoreflect.ServiceDescriptor) []route {
	var routes []route
	for i := range service.Methods().Len() {
		method := service.Methods().Get(i)
		if method.FullName() == "gatehouse.knowledge.v1.DocumentService.UploadDocument" {
			routes = append(routes, route{method, "post", uploadPath, uploadBody, []string{"header.collection_id"}})
			continue
		}
		rule, ok := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
		if !ok || rule == nil {
			continue
		}
		for _, r := range append([]*annotations.HttpRule{rule}, rule.GetAdditionalBindings()...) {
			routes = append(routes, routeOf(method, r))
		}
	}
	return routes
}

func routeOf(method protoreflect.MethodDescriptor, rule *annotations.HttpRule) route {
	r := route{method: method, body: rule.GetBody()}
	switch p := rule.GetPattern().(type) {
	case *annotations.HttpRule_Get:
		r.verb, r.path = "get", p.Get
	case *annotations.HttpRule_Post:
		r.verb, r.path = "post", p.Post
	case *annotations.HttpRule_Put:
		r.verb, r.path = "put", p.Put
	case *annotations.HttpRule_Patch:
		r.verb, r.path = "patch", p.Patch
	case *annotations.HttpRule_Delete:
		r.verb, r.path = "delete", p.Delete
	}
	for _, part := range strings.Split(r.path, "{")[1:] {
		name, _, _ := strings.Cut(part, "}")
		r.params = append(r.params, name)
	}
	return r
}

// publicPath returns the path for OpenAPI. {assistant.id} and {id} become the same
// parameter, and parameters have their JSON names.
func (r route) publicPath() string {
	path := r.path
	for _, param := range r.params {
		path = strings.Replace(path, "{"+param+"}", "{"+paramName(r, param)+"}", 1)
	}
	return strings.Replace(path, "{collection_id}", "{collectionId}", 1)
}

func paramName(r route, param string) string {
	if field := fieldAt(r.method.Input(), param); field != nil {
		return field.JSONName()
	}
	return param
}

func fieldAt(m protoreflect.MessageDescriptor, path string) protoreflect.FieldDescriptor {
	head, rest, nested := strings.Cut(path, ".")
	field := m.Fields().ByName(protoreflect.Name(head))
	if field == nil || !nested {
		return field
	}
	return fieldAt(field.Message(), rest)
}

// gather records which messages the route's client sends and receives. It runs for every
// route before the first message is described.
func (g *generator) gather(r route) {
	if r.method.Output().FullName() != httpBody {
		mark(g.returned, r.method.Output())
	}
	switch r.body {
	case "", uploadBody:
	case "*":
		mark(g.requests, r.method.Input())
		omitted := map[string]bool{}
		for _, param := range r.params {
			omitted[param] = true
		}
		g.omitted[r.method.Input().FullName()] = omitted
	default:
		mark(g.requests, fieldAt(r.method.Input(), r.body).Message())
	}
}

// operation adds a route to the document.
func (g *generator) operation(r route) {
	access, _ := proto.GetExtension(r.method.Options(), optionsv1.E_Access).(*optionsv1.Access)
	name := string(r.method.Name())
	summary, description := splitComment(commentOf(r.method))
	service, _ := r.method.Parent().(protoreflect.ServiceDescriptor) // the parent of a method is always a service
	operation := object{
		"operationId":        g.operationID(name),
		"summary":            summary,
		"description":        description,
		"tags":               []string{tagOf(service)},
		"security":           securityOf(access),
		"responses":          g.responses(r, access),
		"x-gatehouse-access": ruleOf(access),
		"x-gatehouse-rpc":    string(service.FullName()) + "/" + name,
	}
	if parameters := g.parameters(r); len(parameters) > 0 {
		operation["parameters"] = parameters
	}
	if body := g.requestBody(r); body != nil {
		operation["requestBody"] = body
	}
	path, ok := g.paths[r.publicPath()].(object)
	if !ok {
		path = object{}
		g.paths[r.publicPath()] = path
	}
	if _, taken := path[r.verb]; taken {
		g.complain("%s %s is bound twice", r.verb, r.publicPath())
	}
	path[r.verb] = operation
}

func (g *generator) operationID(name string) string {
	id := strings.ToLower(name[:1]) + name[1:]
	if g.ids[id] {
		g.complain("operation %s exists twice", id)
	}
	g.ids[id] = true
	return id
}

// ruleOf returns the rule of an RPC as a word for clients.
func ruleOf(access *optionsv1.Access) string {
	switch rule := access.GetRule().(type) {
	case *optionsv1.Access_Public:
		return "public"
	case *optionsv1.Access_Authenticated:
		return "authenticated"
	case *optionsv1.Access_Permission:
		return rule.Permission
	default:
		return "nobody"
	}
}

func securityOf(access *optionsv1.Access) []object {
	if access.GetPublic() {
		return []object{}
	}
	return []object{{"bearer": []string{}}}
}

// parameters returns the parameters of a route: in its path, query and headers.
func (g *generator) parameters(r route) []object {
	var out []object
	for _, param := range r.params {
		field := fieldAt(r.method.Input(), param)
		schema := g.property(field)
		delete(schema, "readOnly")
		delete(schema, "description")
		if choices, ok := schema["anyOf"].([]object); ok {
			schema = choices[0] // a path has no empty segment
		}
		out = append(out, object{
			"name": field.JSONName(), "in": "path", "required": true,
			"description": strings.TrimSuffix(commentOf(field), " Output only."), "schema": schema,
		})
	}
	out = append(out, g.queryParameters(r)...)
	return append(out, headerParameters(r)...)
}

func (g *generator) queryParameters(r route) []object {
	if r.body == "*" || r.body == uploadBody {
		return nil
	}
	var out []object
	fields := r.method.Input().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		if slices.Contains(r.params, string(field.Name())) || string(field.Name()) == r.body {
			continue
		}
		schema := g.property(field)
		description := commentOf(field)
		delete(schema, "description")
		if kinds, ok := schema["type"].([]string); ok {
			schema["type"] = kinds[0] // a query has no null
		}
		out = append(out, object{"name": field.JSONName(), "in": "query", "description": description, "schema": schema})
	}
	return out
}

func headerParameters(r route) []object {
	header := func(name, description string, schema object) object {
		return object{"name": name, "in": "header", "description": description, "schema": schema}
	}
	var out []object
	if r.verb == "post" {
		out = append(out, header("Idempotency-Key",
			"A request with the same key and body within 24 hours returns the first response. Routes that return a secret reject it.",
			object{"type": "string", "maxLength": 255}))
	}
	if takesIfMatch(r) {
		out = append(out, header("If-Match", "The ETag of the state that the client read.", object{"type": "string"}))
	}
	if isEvents(r) && r.verb == "get" {
		out = append(out, header("Last-Event-ID", "The id of the last event that the client received. It takes precedence over afterSeq.",
			object{"type": "integer", "format": "int32", "minimum": 0}))
	}
	return out
}

func takesIfMatch(r route) bool {
	return r.verb == "patch" && r.method.Output().Fields().ByName("etag") != nil ||
		r.verb == "delete" && r.method.Input().Fields().ByName("etag") != nil
}

func isEvents(r route) bool { return r.method.Output().FullName() == runEvent }

func (g *generator) requestBody(r route) object {
	switch r.body {
	case "":
		return nil
	case uploadBody:
		return uploadForm()
	case "*":
		if r.method.Input().Fields().Len() == len(r.params) {
			return nil // the path has all of its fields
		}
		return jsonBody(g.reference(r.method.Input()), hasRequired(r.method.Input(), r.params))
	default:
		field := fieldAt(r.method.Input(), r.body)
		return jsonBody(g.reference(field.Message()), isRequired(field))
	}
}

func hasRequired(m protoreflect.MessageDescriptor, params []string) bool {
	for i := range m.Fields().Len() {
		field := m.Fields().Get(i)
		if !slices.Contains(params, string(field.Name())) && isRequired(field) {
			return true
		}
	}
	return false
}

func jsonBody(schema object, required bool) object {
	return object{"required": required, "content": object{"application/json": object{"schema": schema}}}
}

// uploadForm describes the only form of the API.
func uploadForm() object {
	text := func(description string) object { return object{"type": "string", "description": description} }
	return object{"required": true, "content": object{"multipart/form-data": object{"schema": object{
		"type": "object", "required": []string{"file"}, "additionalProperties": false,
		"properties": object{
			"title":       text("The title of the document; the file's name when absent. It precedes the file."),
			"contentType": text("The media type; derived from the file when absent. It precedes the file."),
			"file": object{
				"type": "string", "contentMediaType": "application/octet-stream",
				"description": "The file, at most 32 MiB. It is the last field.",
			},
		},
	}}}}
}

// responses returns the responses of a route: success and failures.
func (g *generator) responses(r route, access *optionsv1.Access) object {
	out := object{"default": object{"$ref": "#/components/responses/default"}}
	out["200"] = g.success(r)
	if isEvents(r) && r.verb == "get" {
		out["204"] = object{"description": "The run has finished, and the client has received all of its events."}
	}
	statuses := []string{"400", "429", "503", "504"}
	if !access.GetPublic() {
		statuses = append(statuses, "401")
	}
	if access.GetPermission() != "" {
		statuses = append(statuses, "403")
	}
	if access.GetResource() != "" {
		statuses = append(statuses, "404")
	}
	if r.verb != "get" {
		statuses = append(statuses, "409")
	}
	if takesIfMatch(r) {
		statuses = append(statuses, "412")
	}
	if r.body != "" {
		statuses = append(statuses, "413", "415")
	}
	if r.verb == "post" {
		statuses = append(statuses, "422")
	}
	for _, status := range statuses {
		out[status] = object{"$ref": "#/components/responses/" + status}
	}
	return out
}

func (g *generator) success(r route) object {
	headers := object{}
	for _, name := range []string{"X-Request-Id", "RateLimit", "RateLimit-Policy"} {
		headers[name] = object{"$ref": "#/components/headers/" + name}
	}
	if r.method.Output().Fields().ByName("etag") != nil {
		headers["ETag"] = object{"$ref": "#/components/headers/ETag"}
	}
	if r.verb == "post" && !isEvents(r) {
		headers["Idempotency-Replayed"] = object{"$ref": "#/components/headers/Idempotency-Replayed"}
	}
	response := object{"headers": headers}
	switch {
	case r.method.Output().FullName() == httpBody:
		response["description"] = "The text."
		response["content"] = object{"text/plain": object{"schema": object{"type": "string"}}}
	case isEvents(r):
		response["description"] = eventsText
		response["content"] = object{"text/event-stream": object{"schema": g.reference(r.method.Output())}}
	case r.method.IsStreamingServer():
		response["description"] = "The records, in one document that is sent while it is generated."
		response["content"] = object{"application/json": object{"schema": object{
			"type": "object", "properties": object{"records": object{"type": "array", "items": g.reference(r.method.Output())}},
		}}}
	default:
		response["description"] = firstParagraph(commentOf(r.method.Output()))
		response["content"] = object{"application/json": object{"schema": g.reference(r.method.Output())}}
	}
	return response
}

const eventsText = "The run's events. Each has an id (its seq), a name (the member of RunEvent with its first " +
	"underscore as a dot, such as run.started) and one line of data, a RunEvent. After 15 seconds without an event, a comment is sent. " +
	"A stream that ends without run.completed, run.failed, run.cancelled or run.interrupted was cut off: resume it with Last-Event-ID."

func firstParagraph(text string) string {
	first, _, _ := strings.Cut(text, "\n\n")
	return first
}
