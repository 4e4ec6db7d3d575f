package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// What is signed is read with the public key that was written beside.
func TestSign(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	for _, algorithm := range []string{"ed25519", "rsa"} {
		t.Run(algorithm, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "key")
			if err := run([]string{"key", "-algorithm", algorithm, "-o", file}, nil, now); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(file + ".pub")
			if err != nil {
				t.Fatal(err)
			}
			block, _ := pem.Decode(text)
			public, err := x509.ParsePKIXPublicKey(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			for life, valid := range map[string]bool{"1h": true, "-1h": false} {
				var out bytes.Buffer
				if err := run([]string{"sign", "-key", file, "-cluster", "here", "-subject", "acme", "-life", life}, &out, now); err != nil {
					t.Fatal(err)
				}
				var c jwt.RegisteredClaims
				_, err := jwt.ParseWithClaims(strings.TrimSpace(out.String()), &c, func(*jwt.Token) (any, error) { return public, nil },
					jwt.WithAudience("here"), jwt.WithSubject("acme"))
				if (err == nil) != valid {
					t.Errorf("life %s: %v", life, err)
				}
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"usage":                      nil,
		"use key or sign":            {"lock"},
		"-o FILE":                    {"key"},
		"use ed25519 or rsa":         {"key", "-algorithm", "md5", "-o", file},
		"-key FILE and -cluster ID":  {"sign", "-key", file},
		`not a PEM block "PRIVATE `:  {"sign", "-key", file, "-cluster", "here"},
		"cannot parse \"tomorrow\"":  {"sign", "-key", file, "-cluster", "here", "-from", "tomorrow"},
		"no such file or directory":  {"sign", "-key", file + "x", "-cluster", "here"},
		"flag provided but not defi": {"sign", "-live", "1h"},
	} {
		if err := run(args, &bytes.Buffer{}, time.Now()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q", args, err, want)
		}
	}
}
