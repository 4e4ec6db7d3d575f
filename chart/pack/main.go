// Pack writes the packaged chart into a folder and prints where: make chart.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/kubectl-intercept/kubectl-intercept/chart"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("pack", flag.ContinueOnError)
	dir := flags.String("o", ".", "folder to write to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	name, err := chart.ArchiveName()
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	if err := chart.Archive(&archive); err != nil {
		return err
	}
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(*dir, name)
	if err := os.WriteFile(path, archive.Bytes(), 0o644); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, path)
	return err
}
