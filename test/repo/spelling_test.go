package repo

import (
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// british finds words that Americans spell otherwise.
var british = regexp.MustCompile(`(?i)\b(\w*(?:licence|behaviour|colour|favour|honour|neighbour|catalogue|organis|recognis|authoris|initialis|artefact)\w*` +
	`|enrol(?:s|ment)?|fulfils?|judgements?|learnt|misspelt|spelt|(?:dial|label|travel|cancel|signal)l(?:ed|ing))\b`)

// What people read is spelled as in America: documents, the chart, and the
// comments and texts in Go code. Names in Go code are not looked at.
func TestSpelling(t *testing.T) {
	texts := []string{".md", ".yaml", ".yml", ".json", ".tpl", ".txt", ".proto", ".sh", ".golden", ".txtar"}
	walk(t, func(path string) {
		if filepath.Base(path) == "spelling_test.go" {
			return
		}
		var read func([]byte) string
		switch ext := filepath.Ext(path); {
		case ext == ".go":
			read = prose
		case slices.Contains(texts, ext) || filepath.Base(path) == "Makefile":
			read = func(b []byte) string { return string(b) }
		default:
			return
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range british.FindAllString(read(b), -1) {
			t.Errorf("%s: %q is not spelled as in America", path, word)
		}
	})
}

// prose is what Go code has for people: comments and texts.
func prose(code []byte) string {
	var all strings.Builder
	var s scanner.Scanner
	files := token.NewFileSet()
	s.Init(files.AddFile("", files.Base(), len(code)), code, nil, scanner.ScanComments)
	for {
		switch _, kind, text := s.Scan(); kind {
		case token.EOF:
			return all.String()
		case token.COMMENT, token.STRING:
			all.WriteString(text + "\n")
		}
	}
}
