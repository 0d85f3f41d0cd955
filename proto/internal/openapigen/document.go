package main

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	faultv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	optionsv1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/options/v1"
)

// object is a JSON object. encoding/json sorts its keys, which makes the output
// stable.
type object = map[string]any

const about = `Auth, management and AI chat behind one gateway.

JSON is protobuf's: lowerCamelCase, RFC 3339 times, 64-bit integers as strings, bytes as base64. Unknown fields and unknown query parameters are refused by name. Zero values are sent; unset messages are null.

Lists take pageSize (20 by default, at most 100) and pageToken, and answer nextPageToken, which is empty at the end. Updates are PATCH with the fields to change, named by updateMask or else by the body; with If-Match, a stale state is 412.

Any POST takes an Idempotency-Key: the same request with the same key, within 24 hours, is not carried out again but answered as the first one was, with Idempotency-Replayed: true. Routes that answer secrets refuse the header.

Failures are problem details (RFC 9457); clients switch on their reason. Every answer carries X-Request-Id, RateLimit-Policy and RateLimit.

The same services are reachable on the same port by gRPC, gRPC-Web and Connect.`

// generator gathers the document while it walks the contracts.
type generator struct {
	paths   object
	schemas object
	tags    []object
	// requests are the messages that clients send; answers those they get.
	requests, answers map[protoreflect.FullName]bool
	// omitted are the fields of a request that its path fills.
	omitted  map[protoreflect.FullName]map[string]bool
	names    map[string]protoreflect.FullName
	ids      map[string]bool
	problems []error
}

// describe returns the document of every public route in the files.
func describe(files []protoreflect.FileDescriptor) (object, error) {
	g := &generator{
		paths: object{}, schemas: object{}, ids: map[string]bool{},
		requests: map[protoreflect.FullName]bool{}, answers: map[protoreflect.FullName]bool{},
		omitted: map[protoreflect.FullName]map[string]bool{}, names: map[string]protoreflect.FullName{},
	}
	var routes []route
	for _, file := range files {
		for i := range file.Services().Len() {
			if service := file.Services().Get(i); isPublic(service) {
				g.tags = append(g.tags, object{"name": tagOf(service), "description": commentOf(service)})
				routes = append(routes, routesOf(service)...)
			}
		}
	}
	for _, r := range routes {
		g.gather(r)
	}
	for _, r := range routes {
		g.operation(r)
	}
	sort.Slice(g.tags, func(i, j int) bool { return fmt.Sprint(g.tags[i]["name"]) < fmt.Sprint(g.tags[j]["name"]) })
	return g.document(), errors.Join(g.problems...)
}

// document puts what was gathered together.
func (g *generator) document() object {
	g.schemas["ProblemDetails"] = problemSchema()
	return object{
		"openapi":           "3.1.0",
		"jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
		"info":              object{"title": "Gatehouse", "version": "v1", "description": about},
		"servers":           []object{{"url": "/", "description": "This installation."}},
		"tags":              g.tags,
		"paths":             g.paths,
		"components": object{
			"schemas":   g.schemas,
			"responses": problemResponses(),
			"headers":   sharedHeaders(),
			"securitySchemes": object{"bearer": object{
				"type": "http", "scheme": "bearer",
				"description": "An access token of a sign-in, or an API key.",
			}},
		},
	}
}

func (g *generator) complain(format string, args ...any) {
	g.problems = append(g.problems, fmt.Errorf(format, args...))
}

func isPublic(service protoreflect.ServiceDescriptor) bool {
	return proto.GetExtension(service.Options(), optionsv1.E_Exposure) == optionsv1.Exposure_EXPOSURE_PUBLIC
}

// tagOf groups a service's routes, for example "Conversation".
func tagOf(service protoreflect.ServiceDescriptor) string {
	return strings.TrimSuffix(string(service.Name()), "Service")
}

// commentOf is what the contract says about a declaration, one paragraph per
// line.
func commentOf(d protoreflect.Descriptor) string {
	comment := d.ParentFile().SourceLocations().ByDescriptor(d).LeadingComments
	var paragraphs []string
	for _, paragraph := range strings.Split(strings.TrimSpace(comment), "\n\n") {
		paragraphs = append(paragraphs, strings.Join(strings.Fields(paragraph), " "))
	}
	return strings.Join(paragraphs, "\n\n")
}

// summaryOf is the first sentence of a comment, without the name it begins with.
func summaryOf(comment, name string) string {
	sentence, _, _ := strings.Cut(comment, ". ")
	sentence, _, _ = strings.Cut(sentence, ": ")
	sentence = strings.TrimSuffix(strings.TrimPrefix(sentence, name+" "), ".")
	if sentence == "" {
		return name
	}
	return strings.ToUpper(sentence[:1]) + sentence[1:]
}

// problemSchema is the body of every failure.
func problemSchema() object {
	return object{
		"type":        "object",
		"description": "A failure, as RFC 9457 writes it.",
		"required":    []string{"type", "title", "status", "detail", "code", "reason"},
		"properties": object{
			"type":      object{"type": "string", "format": "uri-reference", "description": "Names the reason; /docs/errors explains it."},
			"title":     object{"type": "string", "description": "The same for every occurrence of the reason."},
			"status":    object{"type": "integer", "format": "int32", "description": "The HTTP status."},
			"detail":    object{"type": "string", "description": "About this occurrence."},
			"instance":  object{"type": "string", "description": "The path of the request."},
			"code":      object{"type": "string", "description": "The name of the gRPC code."},
			"reason":    object{"type": "string", "description": "Stable; clients switch on it. More may come.", "examples": reasonNames()},
			"requestId": object{"type": "string", "description": "Finds the request in the logs."},
			"violations": object{
				"type": "array", "description": "Each field that breaks a rule.",
				"items": object{
					"type": "object", "required": []string{"field", "message"},
					"properties": object{
						"field":   object{"type": "string", "description": "The field's path, as JSON spells it."},
						"message": object{"type": "string", "description": "What it must be."},
					},
				},
			},
		},
	}
}

func reasonNames() []string {
	var names []string
	for number, name := range faultv1.Reason_name {
		if number != 0 {
			names = append(names, strings.TrimPrefix(name, "REASON_"))
		}
	}
	sort.Strings(names)
	return names
}

// failures are the statuses that routes may answer, beside the default.
var failures = map[string]string{ //nolint:gochecknoglobals // a constant table
	"400": "The request breaks a rule; violations name the fields.",
	"401": "No credential, or one that is not valid any more.",
	"403": "The caller's role or scope does not allow it.",
	"404": "Absent, or in another organization.",
	"409": "In conflict with the present state.",
	"412": "The state in If-Match is stale.",
	"413": "The body is too large.",
	"415": "The route does not read this content type.",
	"422": "The idempotency key was used before with another body.",
	"429": "Too many requests.",
	"503": "A part of the system cannot answer now.",
	"504": "The answer was not ready in time.",
}

// problemResponses are the components that routes refer to.
func problemResponses() object {
	out := object{"default": problemResponse("Any other failure.", nil)}
	for status, text := range failures {
		headers := object{}
		switch status {
		case "401":
			headers["WWW-Authenticate"] = object{"schema": object{"type": "string"}}
		case "429", "503":
			headers["Retry-After"] = object{"description": "Seconds to wait.", "schema": object{"type": "integer"}}
		}
		out[status] = problemResponse(text, headers)
	}
	return out
}

func problemResponse(text string, headers object) object {
	all := object{"X-Request-Id": object{"$ref": "#/components/headers/X-Request-Id"}}
	for name, header := range headers {
		all[name] = header
	}
	return object{
		"description": text,
		"headers":     all,
		"content": object{"application/problem+json": object{
			"schema": object{"$ref": "#/components/schemas/ProblemDetails"},
		}},
	}
}

func sharedHeaders() object {
	text := func(description string) object {
		return object{"description": description, "schema": object{"type": "string"}}
	}
	return object{
		"X-Request-Id":         text("Finds the request in the logs."),
		"ETag":                 text("The state of the resource, for If-Match."),
		"RateLimit":            text("What is left (draft-ietf-httpapi-ratelimit-headers)."),
		"RateLimit-Policy":     text("What is allowed (draft-ietf-httpapi-ratelimit-headers)."),
		"Idempotency-Replayed": text("true when this is the first answer to the key, again."),
	}
}
