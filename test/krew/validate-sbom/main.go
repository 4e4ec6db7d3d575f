// Command validate-sbom checks a bill of materials against the schema of CycloneDX, and reads
// it as the library of CycloneDX does:
//
//	validate-sbom FILE SCHEMAS
//
// SCHEMAS is the folder of the schemas that comes with that library.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "validate-sbom:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: validate-sbom FILE SCHEMAS")
	}
	data, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	if err := valid(data, args[1]); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(data), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	refs := map[string]bool{bom.Metadata.Component.BOMRef: true}
	for _, c := range *bom.Components {
		refs[c.BOMRef] = true
	}
	for _, d := range *bom.Dependencies {
		named := []string{d.Ref}
		if d.Dependencies != nil {
			named = append(named, *d.Dependencies...)
		}
		for _, ref := range named {
			if !refs[ref] {
				return fmt.Errorf("%s: a dependency names %s, which is no component", args[0], ref)
			}
		}
	}
	fmt.Printf("%d components, %d dependencies\n", len(*bom.Components), len(*bom.Dependencies))
	return nil
}

// valid checks data against the schema of version 1.6. The schemas name each other by
// addresses at cyclonedx.org, and the files of the library take their place.
func valid(data []byte, folder string) error {
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	for id, file := range map[string]string{
		"http://cyclonedx.org/schema/bom-1.6.schema.json":  "bom-1.6.schema.json",
		"http://cyclonedx.org/schema/spdx.schema.json":     "spdx.schema.json",
		"http://cyclonedx.org/schema/jsf-0.82.schema.json": "jsf-0.82.schemax.json", // the name it has there
	} {
		text, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil {
			return err
		}
		schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := compiler.AddResource(id, schema); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	schema, err := compiler.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		return err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return schema.Validate(document)
}
