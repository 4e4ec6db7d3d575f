package loglevel

import (
	"log/slog"
	"testing"
	"time"
)

func TestRead(t *testing.T) {
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	text, err := Request{Level: "debug", Until: now.Add(time.Minute)}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		annotation string
		now        time.Time
		level      string
		fails      bool
	}{
		"none":       {"", now, "", false},
		"in force":   {text, now, "debug", false},
		"over":       {text, now.Add(time.Minute), "", false},
		"no JSON":    {"debug", now, "", true},
		"no level":   {`{"level":"loud","until":"2026-12-01T13:00:00Z"}`, now, "", true},
		"no time":    {`{"level":"debug"}`, now, "", false},
		"wrong time": {`{"level":"debug","until":"noon"}`, now, "", true},
	} {
		level, until, err := Read(map[string]string{Annotation: tt.annotation}, tt.now)
		if level != tt.level || (err != nil) != tt.fails || level != "" && !until.Equal(now.Add(time.Minute)) {
			t.Errorf("%s: %q until %s, %v", name, level, until, err)
		}
	}
}

func TestParse(t *testing.T) {
	for _, text := range Levels() {
		if _, err := Parse(text); err != nil {
			t.Error(err)
		}
	}
	if l, err := Parse("warn"); l != slog.LevelWarn || err != nil {
		t.Errorf("%v, %v", l, err)
	}
	for _, text := range []string{"", "loud", "DEBUG", "info+2"} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%q is a level", text)
		}
	}
}

// Whoever may patch the ConfigMap writes what is read here.
func FuzzRead(f *testing.F) {
	f.Add(`{"level":"debug","until":"2026-12-01T13:00:00Z"}`)
	f.Add("debug")
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		level, until, err := Read(map[string]string{Annotation: text}, now)
		if err != nil && level != "" {
			t.Errorf("%q is an error and %s", text, level)
		}
		if level == "" {
			return
		}
		if _, err := Parse(level); err != nil || !until.After(now) {
			t.Errorf("%q: %s until %s", text, level, until)
		}
	})
}
