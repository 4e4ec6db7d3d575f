// Package loglevel is how a user asks the traffic-manager to log more, or less, for a while:
// an annotation of its ConfigMap. Whoever may patch that may ask.
package loglevel

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Annotation has a Request.
const Annotation = "kubectl-intercept.dev/log-level"

// Levels are the words for levels, as the chart has them.
func Levels() []string { return []string{"debug", "info", "warn", "error"} }

// Request is what the traffic-manager and the agents log until a time, by the clock of the
// user's machine.
type Request struct {
	Level string    `json:"level"`
	Until time.Time `json:"until"`
}

// Parse reads a level.
func Parse(level string) (slog.Level, error) {
	var l slog.Level
	if !slices.Contains(Levels(), level) {
		return l, fmt.Errorf("log level %q: use debug, info, warn or error", level)
	}
	return l, l.UnmarshalText([]byte(level))
}

// Encode is the annotation's value.
func (r Request) Encode() (string, error) {
	b, err := json.Marshal(Request{Level: r.Level, Until: r.Until.UTC().Truncate(time.Second)})
	return string(b), err
}

// Read returns the level that annotations ask for at a time, and when that ends. The level
// is "" if they ask for none, and none any more.
func Read(annotations map[string]string, now time.Time) (level string, until time.Time, err error) {
	text := annotations[Annotation]
	if text == "" {
		return "", time.Time{}, nil
	}
	var r Request
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return "", time.Time{}, fmt.Errorf("annotation %s: %w", Annotation, err)
	}
	if _, err := Parse(r.Level); err != nil {
		return "", time.Time{}, fmt.Errorf("annotation %s: %w", Annotation, err)
	}
	if !now.Before(r.Until) {
		return "", time.Time{}, nil
	}
	return r.Level, r.Until, nil
}
