package netd

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the goldens")

func TestUnits(t *testing.T) {
	for name, o := range map[string]Owner{"user": {User: "alice", id: "1000"}, "group": {Group: "developers", id: "2000"}} {
		texts, err := units(o)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, unit := range []string{"intercept-netd.socket", "intercept-netd.service", "intercept-netd-undo.service"} {
			got.WriteString("--- " + unit + "\n" + texts[unit])
		}
		golden := "testdata/" + name + ".golden"
		if *update {
			if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(golden); err != nil || string(want) != got.String() {
			t.Errorf("%s: %v, run with -update; got\n%s", golden, err, &got)
		}
	}
}

// The scripts really run, on a machine in a folder, with another systemctl.
func TestInstallAndUninstall(t *testing.T) {
	f, errOut := finder(t)
	dir := filepath.Dir(f.Beside)
	f.Installed, f.Units, f.Booted = dir+"/it's here/intercept-netd", dir+"/units", dir
	bin := dir + "/bin"
	for _, d := range []string{f.Units, bin} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	calls := dir + "/calls"
	for path, text := range map[string]string{f.Beside: "program", bin + "/systemctl": "#!/bin/sh\necho \"$@\" >>" + calls + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	f.Run = func(ctx context.Context, args ...string) error {
		if args[0] != "sudo" || args[1] != "--" {
			t.Errorf("runs %q", args)
		}
		for line := range strings.Lines(args[4]) {
			if !strings.Contains(errOut.String(), line) {
				t.Errorf("it did not say %q", line)
			}
		}
		cmd := exec.CommandContext(ctx, args[2], args[3:]...)
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if len(out) > 0 {
			t.Errorf("printed %s", out)
		}
		return err
	}
	for range 2 { // again is no error
		if err := f.Install(t.Context(), Owner{User: "alice", id: "1000"}); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(f.Installed)
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the program: %v, %v", info, err)
	}
	texts, err := units(Owner{User: "alice", id: "1000"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range texts {
		if got, err := os.ReadFile(filepath.Join(f.Units, name)); err != nil || string(got) != want {
			t.Errorf("%s: %v, %q", name, err, got)
		}
	}
	for _, want := range []bool{true, false} {
		if was, err := f.Uninstall(t.Context()); err != nil || was != want {
			t.Errorf("uninstall: %v, %v", was, err)
		}
	}
	if left, err := os.ReadDir(f.Units); err != nil || len(left) > 0 || exists(f.Installed) {
		t.Errorf("left: %v, %v", left, err)
	}
	b, err := os.ReadFile(calls)
	once := []string{"daemon-reload", "enable --quiet intercept-netd.socket intercept-netd-undo.service", "restart intercept-netd.socket"}
	want := slices.Concat(once, once, []string{"disable --now --quiet intercept-netd-undo.service intercept-netd.service intercept-netd.socket", "daemon-reload"})
	if got := strings.Split(strings.TrimSpace(string(b)), "\n"); err != nil || !slices.Equal(got, want) {
		t.Errorf("systemctl got %q, %v", got, err)
	}
}

func TestDaemon(t *testing.T) {
	for name, o := range map[string]Owner{"user": {User: "alice", id: "501"}, "group": {Group: "developers", id: "600"}} {
		texts, err := fill(launchd, "launchd", o)
		if err != nil {
			t.Fatal(err)
		}
		golden := "testdata/daemon-" + name + ".golden"
		got := texts[daemon+".plist"]
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(golden); err != nil || string(want) != got {
			t.Errorf("%s: %v, run with -update; got\n%s", golden, err, got)
		}
	}
}

// As on a Mac, with another launchctl, which does not find what is not there.
func TestInstallDaemon(t *testing.T) {
	f, _ := finder(t)
	dir := filepath.Dir(f.Beside)
	f.System, f.Installed, f.Units = "darwin", dir+"/it's here/intercept-netd", dir+"/daemons"
	bin := dir + "/bin"
	for _, d := range []string{f.Units, bin} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	calls := dir + "/calls"
	if err := os.WriteFile(bin+"/launchctl", []byte("#!/bin/sh\necho \"$@\" >>"+calls+"\n[ $1 = bootstrap ]\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	f.Run = func(ctx context.Context, args ...string) error {
		cmd := exec.CommandContext(ctx, args[2], args[3:]...)
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if len(out) > 0 {
			t.Errorf("printed %s", out)
		}
		return err
	}
	for range 2 {
		if err := f.Install(t.Context(), Owner{User: "alice", id: "501"}); err != nil {
			t.Fatal(err)
		}
	}
	plist := f.Units + "/" + daemon + ".plist"
	if info, err := os.Stat(f.Installed); err != nil || info.Mode().Perm() != 0o755 || !exists(plist) {
		t.Errorf("the program: %v, %v", info, err)
	}
	for _, want := range []bool{true, false} {
		if was, err := f.Uninstall(t.Context()); err != nil || was != want {
			t.Errorf("uninstall: %v, %v", was, err)
		}
	}
	if exists(plist) || exists(f.Installed) {
		t.Error("something is left")
	}
	b, err := os.ReadFile(calls)
	out := []string{"bootout system/" + daemon, "print system/" + daemon}
	in := append(slices.Clone(out), "bootstrap system "+plist)
	if got := strings.Split(strings.TrimSpace(string(b)), "\n"); err != nil || !slices.Equal(got, slices.Concat(in, in, out)) {
		t.Errorf("launchctl got %q, %v", got, err)
	}
}

func TestInstallOnWindows(t *testing.T) {
	f, errOut := finder(t)
	f.System, f.Installed = "windows", filepath.Join(t.TempDir(), "Program Files", "intercept-netd.exe")
	beside := filepath.Join(filepath.Dir(f.Beside), "it's here.exe")
	if err := os.Rename(f.Beside, beside); err != nil {
		t.Fatal(err)
	}
	f.Beside = beside
	var ran []string
	if err := f.Install(t.Context(), Owner{}); err == nil || !strings.Contains(err.Error(), "wintun.dll is not there") {
		t.Errorf("got %v", err)
	}
	// After an upgrade of the plugin, the driver is where the service runs.
	driver, used := filepath.Join(filepath.Dir(beside), "wintun.dll"), filepath.Join(filepath.Dir(f.Installed), "wintun.dll")
	if err := errors.Join(os.MkdirAll(filepath.Dir(used), 0o755), os.WriteFile(used, []byte("driver"), 0o644)); err != nil {
		t.Fatal(err)
	}
	f.Run = func(_ context.Context, args ...string) error { ran = args; return nil }
	if err := f.Install(t.Context(), Owner{User: "alice", id: "S-1-5-21-1"}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(driver); string(got) != "driver" {
		t.Errorf("beside the program there is the driver %q, %v", got, err)
	}
	quoted := "'" + strings.ReplaceAll(beside, "'", "''") + "'"
	want := []string{"powershell", "-NoProfile", "-NonInteractive", "-Command", "$ErrorActionPreference = 'Stop'; exit (Start-Process -FilePath " + quoted +
		" -ArgumentList 'install','--sid=S-1-5-21-1' -Verb RunAs -WindowStyle Hidden -Wait -PassThru).ExitCode"}
	if !slices.Equal(ran, want) {
		t.Errorf("ran %q", ran)
	}
	if !strings.Contains(errOut.String(), "\n    & "+quoted+" install --sid=S-1-5-21-1\n") {
		t.Errorf("it said %s", errOut)
	}
	if was, err := f.Uninstall(t.Context()); was || err != nil {
		t.Errorf("uninstall: %v, %v", was, err)
	}
	if err := os.WriteFile(f.Installed, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if was, err := f.Uninstall(t.Context()); !was || err != nil || !strings.Contains(ran[4], "-ArgumentList 'uninstall' ") {
		t.Errorf("uninstall: %v, %v, ran %q", was, err, ran)
	}
	f.Run = func(context.Context, ...string) error { return errors.New("exit status 1") }
	if err := f.Install(t.Context(), Owner{}); err == nil || !strings.Contains(err.Error(), "PowerShell of an administrator") {
		t.Errorf("got %v", err)
	}
	if _, err := f.Dial(t.Context()); err == nil || !strings.Contains(err.Error(), "netd install") || !strings.Contains(err.Error(), "connect --proxy") {
		t.Errorf("got %v", err)
	}
}

func TestInstallFails(t *testing.T) {
	f, _ := finder(t)
	if err := f.Install(t.Context(), Owner{}); err == nil || !strings.Contains(err.Error(), "does not run systemd") {
		t.Errorf("got %v", err)
	}
	f.Booted = "/"
	f.Run = func(context.Context, ...string) error { return errors.New("exit status 1") }
	if err := f.Install(t.Context(), Owner{}); err == nil || !strings.Contains(err.Error(), "install intercept-netd: exit status 1") {
		t.Errorf("got %v", err)
	}
	if _, err := Own("", "no-such-group"); err == nil || !strings.Contains(err.Error(), "--group no-such-group: there is no such group") {
		t.Errorf("got %v", err)
	}
}
