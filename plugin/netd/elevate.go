package netd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// installWindows lets the service manager keep netd running.
func (f *Finder) installWindows(ctx context.Context, program string, o Owner) error {
	if err := f.driver(filepath.Dir(program)); err != nil {
		return err
	}
	return f.elevate(ctx, "install a service", program, "install", "--sid="+o.id)
}

// driver has wintun.dll beside the program. Where a plugin manager has put a newer program into
// another folder, the driver's library that the service already uses goes there as well.
func (f *Finder) driver(folder string) error {
	beside, used := filepath.Join(folder, "wintun.dll"), filepath.Join(filepath.Dir(f.Installed), "wintun.dll")
	if exists(beside) {
		return nil
	}
	data, err := os.ReadFile(used)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is not there: take the one for this machine's processor from https://www.wintun.net", beside)
	case err != nil:
		return fmt.Errorf("copy wintun.dll: %w", err)
	}
	if err := os.WriteFile(beside, data, 0o644); err != nil {
		return fmt.Errorf("copy wintun.dll: %w", err)
	}
	return nil
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
