package control

import (
	"io"
	"log/slog"
	"testing"
)

func TestLevelIsTheManagersOrItsOwn(t *testing.T) {
	c := NewClient(&Settings{LogLevel: slog.LevelWarn}, nil, "0.1.0", slog.New(slog.NewTextHandler(io.Discard, nil)))
	c.setLevel("debug") // without a level that may change, nothing does
	c.Level = new(slog.LevelVar)
	c.Level.Set(slog.LevelWarn)
	for _, tt := range []struct {
		asked string
		want  slog.Level
	}{{"", slog.LevelWarn}, {"debug", slog.LevelDebug}, {"louder", slog.LevelDebug}, {"error", slog.LevelError}, {"", slog.LevelWarn}} {
		if c.setLevel(tt.asked); c.Level.Level() != tt.want {
			t.Errorf("after %q the level is %s, want %s", tt.asked, c.Level.Level(), tt.want)
		}
	}
}
