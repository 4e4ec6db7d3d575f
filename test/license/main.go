// License makes keys and signs licenses, for tests.
//
//	license key [-algorithm ed25519|rsa] -o FILE     writes FILE and FILE.pub
//	license sign -key FILE -cluster ID [-subject NAME] [-life 720h] [-from TIME]
//
// A life below zero makes a license that has expired. The license is written
// to the standard output:
//
//	license sign -key k -cluster "$(kubectl intercept license id)" > acme.jwt
//	kubectl intercept upgrade --set-file license.key=acme.jwt --set-file license.publicKey=k.pub
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/license/signing"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, time.Now()); err != nil {
		fmt.Fprintln(os.Stderr, "license:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer, now time.Time) error {
	if len(args) == 0 {
		return errors.New("usage: license key | sign; -help tells more")
	}
	switch flags := flag.NewFlagSet("license "+args[0], flag.ContinueOnError); args[0] {
	case "key":
		algorithm := flags.String("algorithm", signing.Ed25519, "ed25519 or rsa")
		file := flags.String("o", "", "file for the private key; the public one goes into FILE.pub")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		if *file == "" {
			return errors.New("key: -o FILE says where the keys go")
		}
		return makeKey(*algorithm, *file)
	case "sign":
		file := flags.String("key", "", "file with the private key")
		cluster := flags.String("cluster", "", "id of the cluster, as kubectl intercept license id prints it")
		subject := flags.String("subject", "test", "who the license is for")
		life := flags.Duration("life", 30*24*time.Hour, "how long it is valid; below zero, it has expired")
		from := flags.String("from", "", "when it begins, in RFC 3339")
		if err := flags.Parse(args[1:]); err != nil {
			return err
		}
		if *file == "" || *cluster == "" {
			return errors.New("sign: -key FILE and -cluster ID are needed")
		}
		l := signing.License{Cluster: *cluster, Subject: *subject, Expires: now.Add(*life), IssuedAt: now}
		if *from != "" {
			var err error
			if l.NotBefore, err = time.Parse(time.RFC3339, *from); err != nil {
				return fmt.Errorf("sign: -from: %w", err)
			}
		}
		return sign(*file, l, out)
	}
	return fmt.Errorf("%q: use key or sign", args[0])
}

func makeKey(algorithm, file string) error {
	key, err := signing.NewKey(algorithm)
	if err != nil {
		return err
	}
	private, err := key.Private()
	if err != nil {
		return err
	}
	public, err := key.Public()
	if err != nil {
		return err
	}
	if err := os.WriteFile(file, private, 0o600); err != nil {
		return err
	}
	return os.WriteFile(file+".pub", public, 0o644)
}

func sign(file string, l signing.License, out io.Writer) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	key, err := signing.ParseKey(text)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	token, err := key.Sign(l)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, token)
	return err
}
