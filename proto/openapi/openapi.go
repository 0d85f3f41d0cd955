// Package openapi holds the OpenAPI 3.1 description of Gatehouse's REST API.
//
// openapi.json is generated from the contracts, with their comments, their
// access rules and their validation, by
//
//	cd proto && go run ./internal/openapigen
//
// and committed, so that a change of the API shows in review. The gateway
// serves it at /openapi.json.
package openapi

import _ "embed"

//go:embed openapi.json
var document string

// JSON returns the document. The caller owns the bytes.
func JSON() []byte { return []byte(document) }
