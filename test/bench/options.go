package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// options are the checked flags.
type options struct {
	root    string // of the repository
	bin     string // folder of the binaries
	name    string
	only    *regexp.Regexp
	length  time.Duration // of a transfer
	rounds  int
	json    string
	keep    bool
	strict  bool
	timeout time.Duration
}

func parse(args []string, log io.Writer) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.StringVar(&o.name, "name", "bench", "name of the cluster")
	flags.StringVar(&o.bin, "bin", "", "folder of binaries and images (default: bin in the repository)")
	only := flags.String("only", "", "regular expression of the sections to run: "+sectionNames())
	seconds := flags.Float64("seconds", 3, "length of a transfer")
	flags.IntVar(&o.rounds, "rounds", 3, "how often everything is measured")
	flags.StringVar(&o.json, "json", "", "file to write the results to")
	flags.BoolVar(&o.keep, "keep", false, "leave the cluster for the next run")
	flags.BoolVar(&o.strict, "strict", false, "fail when a bar is missed")
	flags.DurationVar(&o.timeout, "timeout", time.Hour, "when to give up")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *seconds < 0.1 || *seconds > 60 || o.rounds < 1 || o.rounds > 100 {
		return nil, errors.New("-seconds is from 0.1 to 60, -rounds from 1 to 100")
	}
	o.length = time.Duration(*seconds * float64(time.Second))
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		return nil, fmt.Errorf("-only: %w", err)
	}
	if os.Getuid() != 0 {
		return nil, errors.New("only root can make a cluster: sudo make bench")
	}
	if o.root, err = findRoot(); err != nil {
		return nil, err
	}
	if o.bin == "" {
		o.bin = filepath.Join(o.root, "bin")
	}
	o.bin, err = filepath.Abs(o.bin)
	return o, err
}

// findRoot looks for the module from the working directory upwards.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "test", "bench", "main.go")); err == nil {
			return dir, nil
		}
		if parent := filepath.Dir(dir); parent != dir {
			dir = parent
			continue
		}
		return "", errors.New("run it inside the repository: it builds and uses what is there")
	}
}
