// Command image makes a container image from static binaries, without Docker
// and without a base image, and prints its digest:
//
//	go run ./krew/image -name NAME:TAG -binary FILE -o IMAGE.tar
//
// The result is a tar of an OCI layout. The same input gives the same bytes.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/kubectl-intercept/kubectl-intercept/krew/oci"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var o oci.Options
	flags := flag.NewFlagSet("image", flag.ExitOnError)
	name := flags.String("name", "", "name and tag of the image")
	binary := flags.String("binary", "", "the program")
	entrypoint := flags.String("entrypoint", "", "path of the program in the image (default: / and its name)")
	user := flags.String("user", "65532:65532", "user and group that it runs as")
	platform := flags.String("platform", "linux/amd64", "platform of the program")
	output := flags.String("o", "", "file to write")
	flags.Func("file", "another file, SRC:DST[:MODE]; may be repeated", func(s string) error {
		f, err := oci.ParseFile(s)
		o.Files = append(o.Files, f)
		return err
	})
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *name == "" || *binary == "" || *output == "" || flags.NArg() > 0 {
		return fmt.Errorf("-name, -binary and -o are needed, and nothing after the flags")
	}
	if *entrypoint == "" {
		*entrypoint = "/" + filepath.Base(*binary)
	}
	parsed, err := v1.ParsePlatform(*platform)
	if err != nil {
		return fmt.Errorf("platform %s: %w", *platform, err)
	}
	o.Platform, o.User, o.Entrypoint = *parsed, *user, []string{*entrypoint}
	o.Files = append(o.Files, oci.File{Source: *binary, Destination: *entrypoint, Mode: 0o755})
	image, err := oci.Build(o)
	if err != nil {
		return err
	}
	digest, err := image.Digest()
	if err != nil {
		return err
	}
	if err := store(*output, *name, image); err != nil {
		return err
	}
	fmt.Println(digest)
	return nil
}

// store writes the archive, whole or not at all.
func store(file, name string, image v1.Image) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	temporary := file + ".new"
	f, err := os.Create(temporary)
	if err != nil {
		return err
	}
	defer os.Remove(temporary)
	if err := oci.Write(f, name, image); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(temporary, file)
}
