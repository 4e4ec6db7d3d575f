package netd

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// installWindows lets the service manager keep netd running.
func (f *Finder) installWindows(ctx context.Context, program string, o Owner) error {
	if driver := filepath.Join(filepath.Dir(program), "wintun.dll"); !exists(driver) {
		return fmt.Errorf("%s is not there: take the one for this machine's processor from https://www.wintun.net", driver)
	}
	return f.elevate(ctx, "install a service", program, "install", "--sid="+o.id)
}

// elevate runs intercept-netd as an administrator, for whose consent Windows
// asks. What it prints is lost with its window.
func (f *Finder) elevate(ctx context.Context, why, program string, args ...string) error {
	line := strings.Join(append([]string{"& " + quoteShell(program)}, args...), " ")
	fmt.Fprintf(f.ErrOut, "An administrator is needed to %s. Windows asks for consent to run:\n    %s\n", why, line)
	list := make([]string, len(args))
	for i, a := range args {
		list[i] = quoteShell(a)
	}
	err := f.Run(ctx, "powershell", "-NoProfile", "-NonInteractive", "-Command", fmt.Sprintf(
		"$ErrorActionPreference = 'Stop'; exit (Start-Process -FilePath %s -ArgumentList %s -Verb RunAs -WindowStyle Hidden -Wait -PassThru).ExitCode",
		quoteShell(program), strings.Join(list, ",")))
	if err != nil {
		return fmt.Errorf("%w\nTo see why, run that line in a PowerShell of an administrator", err)
	}
	return nil
}

// quoteShell makes one word of PowerShell.
func quoteShell(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
