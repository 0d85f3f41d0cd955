// Command openapigen writes the OpenAPI 3.1 description of Gatehouse's REST API.
//
//	cd proto && go run ./internal/openapigen
//
// It reads an image of the contracts, which buf builds with their comments. It
// describes each REST route: its fields and their limits (protovalidate), its access
// rule (gatehouse.options.v1.access), its streams and its failures. The rest follows
// from the JSON mapping of Protobuf. The upload and the streams of events have no
// annotation, so routes.go describes them.
//
// Other generators do not read the limits or the rules, describe streams as JSON, and
// list "/v1/runs/{id}" and "/v1/runs/{run.id}" as two paths, which OpenAPI forbids.
//
// The output depends only on the contracts: a second run changes nothing.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	// Linked so that the options in the image can be read.
	_ "buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	_ "google.golang.org/genproto/googleapis/api/annotations"

	_ "github.com/gatehouse/gatehouse/proto/gen/gatehouse/fault/v1"
	_ "github.com/gatehouse/gatehouse/proto/gen/gatehouse/options/v1"
)

const (
	ownPackages  = "gatehouse."
	template     = "gatehouse.template.v1" // make entity copies it; no server serves it
	buildTimeout = 2 * time.Minute
)

func main() {
	buf := flag.String("buf", "../.bin/buf", "the buf command")
	root := flag.String("root", "..", "the directory of buf.yaml")
	out := flag.String("out", "openapi/openapi.json", "the file to write; - is the standard output")
	flag.Parse()
	if err := run(*buf, *root, *out); err != nil {
		fmt.Fprintln(os.Stderr, "openapigen:", err)
		os.Exit(1)
	}
}

func run(buf, root, out string) error {
	files, err := readImage(buf, root)
	if err != nil {
		return err
	}
	document, err := describe(files)
	if err != nil {
		return err
	}
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(document); err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	if out == "-" {
		_, err = os.Stdout.Write(encoded.Bytes())
	} else {
		err = os.WriteFile(out, encoded.Bytes(), 0o644) //nolint:gosec // a public document
	}
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// readImage builds the contracts with buf and returns the files of Gatehouse.
func readImage(buf, root string) ([]protoreflect.FileDescriptor, error) {
	ctx, cancel := context.WithTimeout(context.Background(), buildTimeout)
	defer cancel()
	image, err := exec.CommandContext(ctx, buf, "build", root, "-o", "-#format=binpb").Output() //nolint:gosec // a developer's own tool
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return nil, fmt.Errorf("buf build: %w: %s", err, exit.Stderr)
		}
		return nil, fmt.Errorf("buf build: %w", err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(image, &set); err != nil {
		return nil, fmt.Errorf("read image: %w", err)
	}
	registry, err := protodesc.NewFiles(&set)
	if err != nil {
		return nil, fmt.Errorf("read image: %w", err)
	}
	var files []protoreflect.FileDescriptor
	for _, file := range set.GetFile() {
		if !strings.HasPrefix(file.GetPackage(), ownPackages) || file.GetPackage() == template {
			continue
		}
		descriptor, err := registry.FindFileByPath(file.GetName())
		if err != nil {
			return nil, fmt.Errorf("read image: %w", err)
		}
		files = append(files, descriptor)
	}
	return files, nil
}
