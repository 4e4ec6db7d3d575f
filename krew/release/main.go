// Command release packs the programs of a release, which make release builds, into what
// people download:
//
//	go run ./krew/release -version v1.2.3 -binaries FOLDER -o dist
//
// FOLDER has a folder for each platform, such as linux_amd64, with the plugin and
// intercept-netd in it; those of linux also have traffic-manager and traffic-agent.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

// longAgo is the time of a release without one: the first that a zip can have.
const longAgo = 315532800 // 1980-01-01

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	var o Options
	flags := flag.NewFlagSet("release", flag.ExitOnError)
	flags.StringVar(&o.Tag, "version", "", "version of the release, as v1.2.3")
	flags.StringVar(&o.Binaries, "binaries", "", "folder with a folder of programs for each platform")
	flags.StringVar(&o.Output, "o", "dist", "folder to write to; what is in it belongs to the release")
	flags.StringVar(&o.Source, "source", ".", "folder with LICENSE and .krew.yaml")
	flags.StringVar(&o.Registry, "registry", "kubectl-intercept.dev", "where the images will be")
	flags.StringVar(&o.Commit, "commit", "", "revision that the programs were built from")
	seconds := flags.Int64("time", longAgo, "time of all files in the archives, in seconds since 1970")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 || o.Tag == "" || o.Binaries == "" {
		return fmt.Errorf("-version and -binaries are needed, and nothing after the flags")
	}
	o.Time, o.Out = time.Unix(max(*seconds, longAgo), 0).UTC(), out
	return o.Run()
}
