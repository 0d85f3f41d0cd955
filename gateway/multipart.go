package gateway

import (
	"cmp"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse/gatehouse/gateway/internal/httpio"
	"github.com/gatehouse/gatehouse/platform/fault"
	knowledgev1 "github.com/gatehouse/gatehouse/proto/gen/gatehouse/knowledge/v1"
)

// findFile reads the fields before the file into the header.
func findFile(form *multipart.Reader, header *knowledgev1.UploadDocumentRequest_Header) (*multipart.Part, error) {
	seen := map[string]bool{}
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return nil, fault.Invalid("file", "is required")
		}
		if err != nil {
			return nil, formError(err)
		}
		if err := checkPart(part, seen); err != nil {
			return nil, err
		}
		switch name := part.FormName(); name {
		case "file":
			header.FileName = part.FileName()
			if !utf8.ValidString(header.GetFileName()) {
				return nil, fault.Invalid(name, "must have a name in UTF-8")
			}
			if header.GetContentType() == "" {
				header.ContentType = partType(part)
			}
			return part, nil
		case "title":
			header.Title, err = fieldText(part)
		case "contentType":
			header.ContentType, err = fieldText(part)
		default:
			err = fault.Invalid(name, "unknown field; the form has title, contentType and file")
		}
		if err != nil {
			return nil, err
		}
	}
}

// checkPart refuses a part that two programs may read differently: a field that was
// already given, or a header or parameter that is given twice.
func checkPart(part *multipart.Part, seen map[string]bool) error {
	name := part.FormName()
	for header, values := range part.Header {
		if len(values) > 1 {
			return fault.Invalid(cmp.Or(name, "file"), "has the header %s twice", header)
		}
	}
	disposition := part.Header.Get("Content-Disposition")
	if _, params, err := mime.ParseMediaType(disposition); err != nil || params["name"] == "" {
		return fault.Invalid("file", "is in a form whose Content-Disposition is malformed or gives a parameter twice")
	}
	if parameter := encodedTwice(disposition); parameter != "" {
		return fault.Invalid("file", "is in a form that gives %s in two encodings", parameter)
	}
	if seen[name] {
		return fault.Invalid(name, "must be given once")
	}
	seen[name] = true
	return nil
}

// encodedTwice returns a parameter that is given both as it is and in the encoding of
// RFC 8187, or "". Programs differ in which of the two they use.
func encodedTwice(disposition string) string {
	given := map[string]bool{}
	for part := range strings.SplitSeq(strings.ToLower(disposition), ";") {
		name, _, _ := strings.Cut(part, "=")
		given[strings.TrimSpace(name)] = true
	}
	for _, name := range []string{"name", "filename"} {
		if given[name] && given[name+"*"] {
			return name
		}
	}
	return ""
}

func fieldText(part *multipart.Part) (string, error) {
	text, err := io.ReadAll(io.LimitReader(part, maxTextField+1))
	if err != nil {
		return "", formError(err)
	}
	if len(text) > maxTextField {
		return "", fault.Invalid(part.FormName(), "is over %d bytes", maxTextField)
	}
	if !utf8.Valid(text) {
		return "", fault.Invalid(part.FormName(), "must be valid UTF-8")
	}
	return string(text), nil
}

// partType returns the content type that the client gave the file. It returns "" for
// none, and for the general type of bytes.
func partType(part *multipart.Part) string {
	kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
	if err != nil || kind == "application/octet-stream" {
		return ""
	}
	return kind
}

// endOfForm returns an error when a field follows the file, because the gateway would
// ignore it.
func endOfForm(form *multipart.Reader) error {
	part, err := form.NextPart()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return formError(err)
	}
	return fault.Invalid(part.FormName(), "must come before the file, and once")
}

// formError returns the fault for a form that could not be read.
func formError(err error) error {
	var tooMuch *http.MaxBytesError
	if errors.As(err, &tooMuch) {
		return httpio.TooLarge(UploadLimit)
	}
	return fault.Invalid("file", "the form is malformed or incomplete")
}
