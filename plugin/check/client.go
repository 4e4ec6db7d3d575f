package check

import (
	"context"
	"os"
	"path/filepath"
)

// pluginName is what kubectl looks for.
const pluginName = "kubectl-intercept"

func (e *Env) clientChecks() []Check {
	return []Check{
		{"kubectl is in PATH", func(context.Context) Outcome {
			path, err := e.Machine.LookPath("kubectl")
			if err != nil {
				return warn("there is none", "install kubectl; until then call "+pluginName+" itself")
			}
			return ok(path)
		}},
		{"kubectl finds the plugin", func(context.Context) Outcome {
			found, err := e.Machine.LookPath(pluginName)
			own, oerr := e.Machine.Executable()
			if oerr != nil {
				own = ""
			}
			return judgePlugin(found, err, own)
		}},
	}
}

// judgePlugin compares the plugin that kubectl would run with this one.
func judgePlugin(found string, err error, own string) Outcome {
	if err != nil {
		return warn("no "+pluginName+" is in PATH",
			"put the folder of "+own+` into PATH; for krew: export PATH="${KREW_ROOT:-$HOME/.krew}/bin:$PATH"`)
	}
	if own != "" && !same(found, own) {
		return warn("kubectl runs "+found+", this is "+own, "remove the one that is not wanted, or change the order of PATH")
	}
	return ok(found)
}

// same says that two paths are one file; krew has links.
func same(a, b string) bool {
	if x, err := os.Stat(a); err == nil {
		if y, err := os.Stat(b); err == nil {
			return os.SameFile(x, y)
		}
	}
	return filepath.Clean(a) == filepath.Clean(b)
}
