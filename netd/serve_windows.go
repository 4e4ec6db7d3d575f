package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/netd/server"
)

// access is full for SYSTEM and administrators; nobody inherits more. Who else
// may connect reaches the socket in the folder, and nothing below.
const (
	access  = "D:P(A;OICI;GA;;;SY)(A;OICI;GA;;;BA)"
	allowed = "(A;;GRGX;;;%[1]s)(A;OINPIO;GRGW;;;%[1]s)"
)

func serve(ctx context.Context, fs *flag.FlagSet, log *slog.Logger) func() error {
	sid := fs.String("sid", "", "the user or group who may connect, beside administrators")
	idle := fs.Duration("idle", time.Hour, "end after so long without a client; 0 is never")
	return func() error {
		managed, err := svc.IsWindowsService()
		if err != nil {
			return err
		}
		if managed { // nobody sees what it prints
			f, err := os.Create(logFile())
			if err != nil {
				return err
			}
			defer f.Close()
			log = slog.New(slog.NewTextHandler(f, nil))
		}
		l, err := listen(*sid)
		if err != nil {
			log.Error("cannot listen", "error", err)
			return err
		}
		run := func(ctx context.Context) error {
			return server.Serve(ctx, l, server.Options{Run: handover.RunDir(), Release: version, UID: -1, GID: -1, Idle: *idle, Log: log})
		}
		if managed {
			return svc.Run(serviceName, &service{run: run})
		}
		return run(ctx)
	}
}

func listen(sid string) (*net.UnixListener, error) {
	if err := makeRunDir(sid); err != nil {
		return nil, fmt.Errorf("make %s: %w", handover.RunDir(), err)
	}
	path := handover.ServiceSocket()
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return nil, fmt.Errorf("listen at %s: another intercept-netd does", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
}

func makeRunDir(sid string) error {
	text := access
	if sid != "" {
		s, err := windows.StringToSid(sid)
		if err != nil {
			return fmt.Errorf("--sid %s: %w", sid, err)
		}
		text += fmt.Sprintf(allowed, s)
	}
	sd, err := windows.SecurityDescriptorFromString(text)
	if err != nil {
		return err
	}
	acl, _, err := sd.DACL()
	if err != nil {
		return err
	}
	admins, err := windows.CreateWellKnownSid(windows.WinBuiltinAdministratorsSid)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(handover.RunDir(), 0o700); err != nil {
		return err
	}
	// Whoever made the folder first owned it: now administrators do.
	return windows.SetNamedSecurityInfo(handover.RunDir(), windows.SE_FILE_OBJECT,
		windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, admins, nil, acl, nil)
}

func undo(log *slog.Logger) error { return server.Recover(handover.RunDir(), log) }
