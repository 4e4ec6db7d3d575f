package check

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/plugin/render"
	"github.com/kubectl-intercept/kubectl-intercept/plugin/session"
)

// pluginName is the name of the program that kubectl looks for in PATH.
const pluginName = "kubectl-intercept"

func (e *Env) clientChecks() []Check {
	return []Check{
		{"kubectl is in PATH", "kubectl is not in PATH", func(context.Context) Outcome {
			path, err := e.Machine.LookPath("kubectl")
			if err != nil {
				return warn("there is none", "install kubectl; until then call "+pluginName+" itself")
			}
			return ok(path)
		}},
		{"kubectl finds the plugin", "kubectl does not find the plugin", func(context.Context) Outcome {
			found, err := e.Machine.LookPath(pluginName)
			own, oerr := e.Machine.Executable()
			if oerr != nil {
				own = ""
			}
			return judgePlugin(found, err, own)
		}},
		{"a session has a folder", "a session has no folder", func(context.Context) Outcome {
			path, err := e.Machine.SessionsDir()
			if err != nil {
				what, hint, _ := strings.Cut(err.Error(), ": ")
				return fail(what, hint)
			}
			return ok(path)
		}},
		{"the session is connected", "the session is not connected", func(ctx context.Context) Outcome {
			if _, err := e.Machine.SessionsDir(); err != nil {
				return skip("it has no folder")
			}
			s, err := e.Session(ctx)
			if err != nil {
				return fail(render.Error(err), "kubectl intercept quit ends a session that does not answer").saying("the session does not answer")
			}
			return judgeSession(s)
		}},
	}
}

// judgeSession judges the status of the session process of the kubeconfig.
func judgeSession(s *session.Status) Outcome {
	switch {
	case s == nil:
		return skip("none runs; commands start it when they need it")
	case s.Rejected:
		return fail(s.LastError, "kubectl get pods has to work first; kubectl intercept quit ends the session").saying("the session's kubeconfig does not hold")
	case !s.Connected:
		return fail(fmt.Sprintf("process %d is %s: %s", s.PID, s.Phase, s.LastError),
			"it goes on trying, its log is "+s.LogFile+"; kubectl intercept quit ends it")
	}
	return ok(fmt.Sprintf("process %d, by %s", s.PID, s.Transport))
}

// judgePlugin compares the plugin that kubectl finds in PATH with the running program.
func judgePlugin(found string, err error, own string) Outcome {
	if err != nil {
		return warn("no "+pluginName+" is in PATH",
			"put the folder of "+own+` into PATH; for krew: export PATH="${KREW_ROOT:-$HOME/.krew}/bin:$PATH"`)
	}
	if own != "" && !same(found, own) {
		return warn("kubectl runs "+found+", this is "+own, "remove the one that is not wanted, or change the order of PATH").saying("kubectl finds another plugin")
	}
	return ok(found)
}

// same reports whether two paths are the same file. Krew installs plugins as symbolic
// links.
func same(a, b string) bool {
	if x, err := os.Stat(a); err == nil {
		if y, err := os.Stat(b); err == nil {
			return os.SameFile(x, y)
		}
	}
	return filepath.Clean(a) == filepath.Clean(b)
}
