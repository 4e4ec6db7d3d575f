// Command readers prints the variables of an env file as docker or docker compose reads it:
// NAME=VALUE, each ended by a NUL.
//
// Usage: readers docker|compose FILE
package main

import (
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/docker/cli/pkg/kvfile"
)

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(reader, file string) error {
	if reader == "docker" {
		lines, err := kvfile.Parse(file, nil)
		for _, line := range lines {
			fmt.Print(line, "\x00")
		}
		return err
	}
	all, err := dotenv.Read(file)
	for name, value := range all {
		fmt.Print(name, "=", value, "\x00")
	}
	return err
}
