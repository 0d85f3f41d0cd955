package main

import (
	"errors"
	"fmt"
	"regexp"
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

JSON is protobuf's: lowerCamelCase, RFC 3339 times, 64-bit integers as strings, bytes as base64. Unknown fields and unknown query parameters are rejected, and the error names them. Zero values are sent; unset messages are null.

Lists accept pageSize (20 by default, at most 100) and pageToken, and return nextPageToken, which is empty on the last page. Updates are PATCH requests. They change the fields in updateMask; without it, those in the body. With If-Match, a stale state is 412.

Every POST accepts an Idempotency-Key. A repeated request with the same key within 24 hours is not executed again: it returns the first response with the header Idempotency-Replayed: true. Routes that return secrets reject the header.

Failures are problem details (RFC 9457); clients switch on their reason. Every response has X-Request-Id, RateLimit-Policy and RateLimit.

The same services are reachable on the same port by gRPC, gRPC-Web and Connect.`

// generator builds the document while it walks the contracts.
type generator struct {
	paths   object
	schemas object
	tags    []object
	// requests are the messages that clients send; returned those that they receive.
	requests, returned map[protoreflect.FullName]bool
	// omitted are the fields of a request that are in its path.
	omitted  map[protoreflect.FullName]map[string]bool
	names    map[string]protoreflect.FullName
	ids      map[string]bool
	problems []error
}

// describe returns the document of every public route in the files.
func describe(files []protoreflect.FileDescriptor) (object, error) {
	g := &generator{
		paths: object{}, schemas: object{}, ids: map[string]bool{},
		requests: map[protoreflect.FullName]bool{}, returned: map[protoreflect.FullName]bool{},
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

// document returns the complete document.
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
				"description": "An access token or an API key.",
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

// tagOf returns the tag of a service's routes, for example "Conversation".
func tagOf(service protoreflect.ServiceDescriptor) string {
	return strings.TrimSuffix(string(service.Name()), "Service")
}

// commentOf returns the comment of a declaration, with one line per paragraph.
func commentOf(d protoreflect.Descriptor) string {
	comment := d.ParentFile().SourceLocations().ByDescriptor(d).LeadingComments
	var paragraphs []string
	for _, paragraph := range strings.Split(strings.TrimSpace(comment), "\n\n") {
		paragraphs = append(paragraphs, strings.Join(strings.Fields(paragraph), " "))
	}
	return strings.Join(paragraphs, "\n\n")
}

// splitComment divides the comment of an RPC into the summary, which is its first sentence
// without the full stop, and the description, which is the rest. A comment of one sentence
// is also the description, because OpenAPI clients show descriptions.
func splitComment(comment string) (summary, description string) {
	parts := regexp.MustCompile(`\.\s+`).Split(comment, 2)
	if len(parts) == 1 {
		return strings.TrimSuffix(comment, "."), comment
	}
	return parts[0], parts[1]
}

// problemSchema is the body of every failure.
func problemSchema() object {
	return object{
		"type":        "object",
		"description": "A failure, in the form of RFC 9457.",
		"required":    []string{"type", "title", "status", "detail", "code", "reason"},
		"properties": object{
			"type":      object{"type": "string", "format": "uri-reference", "description": "Identifies the reason; /docs/errors explains it."},
			"title":     object{"type": "string", "description": "The same for every occurrence of the reason."},
			"status":    object{"type": "integer", "format": "int32", "description": "The HTTP status."},
			"detail":    object{"type": "string", "description": "Describes this occurrence."},
			"instance":  object{"type": "string", "description": "The path of the request."},
			"code":      object{"type": "string", "description": "The name of the gRPC code."},
			"reason":    object{"type": "string", "description": "Stable; clients switch on it. More reasons may be added.", "examples": reasonNames()},
			"requestId": object{"type": "string", "description": "The id of the request in the logs."},
			"violations": object{
				"type": "array", "description": "The fields that break a rule.",
				"items": object{
					"type": "object", "required": []string{"field", "message"},
					"properties": object{
						"field":   object{"type": "string", "description": "The path of the field, in JSON names."},
						"message": object{"type": "string", "description": "The rule that the field breaks."},
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

// failures are the statuses that routes may return, in addition to the default.
var failures = map[string]string{ //nolint:gochecknoglobals // a constant table
	"400": "The request breaks a rule; violations name the fields.",
	"401": "The credential is missing or not valid.",
	"403": "The caller's roles or scopes do not allow the call.",
	"404": "The resource does not exist, or belongs to another organization.",
	"409": "The call conflicts with the current state.",
	"412": "The state in If-Match is stale.",
	"413": "The body is too large.",
	"415": "The route does not accept this content type.",
	"422": "The idempotency key was used before with another body.",
	"429": "Too many requests.",
	"503": "A part of the system is not available now.",
	"504": "The response was not ready in time.",
}

// problemResponses returns the components that routes refer to.
func problemResponses() object {
	out := object{"default": problemResponse("Any other failure.", nil)}
	for status, text := range failures {
		headers := object{}
		switch status {
		case "401":
			headers["WWW-Authenticate"] = object{"schema": object{"type": "string"}}
		case "429", "503":
			headers["Retry-After"] = object{"description": "The seconds to wait before a retry.", "schema": object{"type": "integer"}}
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
		"X-Request-Id":         text("The id of the request in the logs."),
		"ETag":                 text("The state of the resource, for If-Match."),
		"RateLimit":            text("The remaining requests (draft-ietf-httpapi-ratelimit-headers)."),
		"RateLimit-Policy":     text("The allowed requests (draft-ietf-httpapi-ratelimit-headers)."),
		"Idempotency-Replayed": text("true when the response is the stored first response to the key."),
	}
}
