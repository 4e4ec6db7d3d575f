package daemon

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/session/socket"
)

// The own level comes back when the time of the last change is over.
func TestLogLevelComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var level slog.LevelVar
		var out bytes.Buffer
		l := newLogLevel(&level, slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: &level})))
		at := func(want slog.Level) {
			t.Helper()
			synctest.Wait()
			if level.Level() != want {
				t.Errorf("the level is %s, want %s\n%s", level.Level(), want, &out)
			}
		}
		l.change(slog.LevelDebug, time.Minute)
		at(slog.LevelDebug)
		time.Sleep(50 * time.Second)
		l.change(slog.LevelWarn, time.Minute)
		time.Sleep(20 * time.Second) // when the first would be over
		at(slog.LevelWarn)
		time.Sleep(50 * time.Second)
		at(slog.LevelInfo)
		if !strings.Contains(out.String(), "the log level is its own again") {
			t.Errorf("the log is\n%s", &out)
		}
	})
}

func TestLogLevelOfTheProcess(t *testing.T) {
	m := newMachine(t, newCluster(t).factory())
	c, _ := m.mustEnsure()
	for want, ok := range map[socket.LogLevel]bool{
		{Level: "debug", For: time.Hour}: true, {Level: "loud", For: time.Hour}: false, {Level: "debug"}: false,
	} {
		if err := c.LogLevel(t.Context(), want); (err == nil) != ok {
			t.Errorf("%+v: %v", want, err)
		}
	}
	if l := m.last.level.level.Level(); l != slog.LevelDebug {
		t.Errorf("the level is %s", l)
	}
}
