//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kubectl-intercept/kubectl-intercept/test/e2e/lab"
)

// alone is held by the test that has a private cluster.
var alone sync.Mutex

// private is a cluster of one node for tests that break what others need. Its
// users are on laptops of their own.
type private struct {
	*testing.T
	name string
	home string
}

// newPrivate makes one. There is one at a time: each takes its share of what the
// kernel lets root watch (fs.inotify.max_user_instances).
func newPrivate(t *testing.T, name string) *private {
	t.Helper()
	alone.Lock()
	t.Cleanup(alone.Unlock)
	p := &private{T: t, name: name, home: t.TempDir()}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := clusters.Tool(ctx, "down", "--name", name); err != nil {
			t.Error(err)
		}
	})
	if _, err := clusters.Tool(t.Context(), "up", "--name", name); err != nil {
		t.Fatal(err)
	}
	return p
}

// run runs a program of bin/ on a user's laptop; "admin" may do everything.
func (p *private) run(user, program string, args ...string) (stdout, stderr string, failed bool) {
	p.Helper()
	more := []string{"--user", user, "--group", "developers"}
	if user == "admin" {
		more = nil
	}
	config, err := clusters.Tool(p.Context(), append([]string{"kubeconfig", "--name", p.name}, more...)...)
	if err != nil {
		p.Fatal(err)
	}
	return p.runWith(strings.TrimSpace(config), user, program, args...)
}

func (p *private) runWith(kubeconfig, laptop, program string, args ...string) (stdout, stderr string, failed bool) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, clusters.Bin("cluster"), append([]string{"laptop", "--name", p.name, laptop, "--", clusters.Bin(program)}, args...)...)
	cmd.Env = append(os.Environ(), "HOME="+p.home, "KUBECONFIG="+kubeconfig, "PATH="+filepath.Dir(clusters.Bin("kubectl"))+":"+os.Getenv("PATH"))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.Fatal(err)
	}
	return out.String(), errs.String(), err != nil
}

// kubectl is the administrator's, and has to succeed.
func (p *private) kubectl(args ...string) string {
	p.Helper()
	out, errs, failed := p.run("admin", "kubectl", args...)
	if failed {
		p.Fatalf("kubectl %s: %s", strings.Join(args, " "), errs)
	}
	return out
}

// intercept is the administrator's plugin, and has to succeed.
func (p *private) intercept(args ...string) string {
	p.Helper()
	out, errs, failed := p.run("admin", "kubectl-intercept", args...)
	if failed {
		p.Fatalf("kubectl intercept %s: %s", strings.Join(args, " "), errs)
	}
	return out
}

// until waits for a condition; its last error is why it does not hold.
func (p *private) until(limit time.Duration, what string, condition func() error) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), limit)
	defer cancel()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			p.Logf("%s", p.kubectl("get", "pods,events", "-A"))
			logs, _, _ := p.run("admin", "kubectl", "logs", "-n", lab.ManagerNamespace, "deployment/traffic-manager", "--tail=40")
			p.Fatalf("not within %s: %s: %v\n%s", limit, what, err, logs)
		}
	}
}

// outcomes are what `check` says, by check.
type outcomes map[string]struct{ Status, Detail, Hint string }

// check runs the checks as a user. Its exit code must fit what it prints.
func (p *private) check(user string, args ...string) outcomes {
	p.Helper()
	out, errs, failed := p.run(user, "kubectl-intercept", append([]string{"check", "-o", "json"}, args...)...)
	return p.read(out, errs, failed)
}

func (p *private) read(out, errs string, failed bool) outcomes {
	p.Helper()
	var report struct {
		Success    bool
		Categories []struct {
			Checks []struct{ Check, Status, Detail, Hint string }
		}
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		p.Fatalf("%v: %s%s", err, out, errs)
	}
	all, broken := outcomes{}, 0
	for _, c := range report.Categories {
		for _, k := range c.Checks {
			all[k.Check] = struct{ Status, Detail, Hint string }{k.Status, k.Detail, k.Hint}
			if k.Status == "failed" {
				broken++
			}
		}
	}
	if failed != (broken > 0) || report.Success != (broken == 0) {
		p.Errorf("%d checks failed, success is %t and the exit code says failed: %t", broken, report.Success, failed)
	}
	return all
}

// wants says what differs: the checks that begin with a name must have a
// status, and a text in detail or hint.
func (o outcomes) wants(name, status, text string) error {
	for k, v := range o {
		if strings.HasPrefix(k, name) {
			if v.Status != status || !strings.Contains(v.Detail+"\n"+v.Hint, text) {
				return errors.New(k + " is " + v.Status + ": " + v.Detail + " → " + v.Hint + "; want " + status + " with " + text)
			}
			return nil
		}
	}
	return errors.New("there is no check " + name)
}

// failures are the checks that failed.
func (o outcomes) failures() []string {
	var list []string
	for k, v := range o {
		if v.Status == "failed" {
			list = append(list, k+": "+v.Detail)
		}
	}
	return list
}
