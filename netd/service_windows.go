package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

const (
	serviceName = "intercept-netd"
	// restartAfter a kill, the service undoes what it left.
	restartAfter = time.Second
	// forgotten is after how many seconds without a kill.
	forgotten = 24 * 60 * 60
	// patience is how long the service may take to undo everything and end.
	patience = 20 * time.Second
	// again is how often that is looked at.
	again = 100 * time.Millisecond
)

// logFile is the service's, of its last start.
func logFile() string { return filepath.Join(filepath.Dir(handover.Binary), "netd.log") }

// more are the commands of this system alone.
func more(command string, fs *flag.FlagSet) func() error {
	switch command {
	case "install":
		return install(fs)
	case "uninstall":
		return uninstall
	}
	return nil
}

// service answers the service control manager.
type service struct{ run func(context.Context) error }

// Execute implements svc.Handler.
func (s *service) Execute(_ []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (bool, uint32) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	status <- svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
	for {
		select {
		case err := <-ended:
			if err != nil {
				return true, 1
			}
			return false, 0
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				status <- r.CurrentStatus
			case svc.Stop, svc.Shutdown:
				status <- svc.Status{State: svc.StopPending, WaitHint: uint32(patience.Milliseconds())}
				stop()
			}
		}
	}
}

// install copies this program, and wintun.dll from beside it, to a folder of
// the administrators', and makes a service of it. Again, it replaces them.
func install(fs *flag.FlagSet) func() error {
	sid := fs.String("sid", "", "the user or group who may connect, beside administrators")
	return func() error {
		if _, err := windows.StringToSid(*sid); err != nil {
			return fmt.Errorf("--sid %q: %w", *sid, err)
		}
		if err := uninstall(); err != nil {
			return err
		}
		self, err := os.Executable()
		if err != nil {
			return err
		}
		dir := filepath.Dir(handover.Binary)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		for from, to := range map[string]string{self: handover.Binary, filepath.Join(filepath.Dir(self), wintun): filepath.Join(dir, wintun)} {
			if err := copyFile(from, to); err != nil {
				return fmt.Errorf("install: %w", err)
			}
		}
		m, err := mgr.Connect()
		if err != nil {
			return fmt.Errorf("connect to the service manager: %w", err)
		}
		defer m.Disconnect()
		s, err := m.CreateService(serviceName, handover.Binary, mgr.Config{StartType: mgr.StartAutomatic,
			DisplayName: "kubectl intercept", Description: "Adapter, routes and DNS for kubectl intercept"},
			"serve", "--idle=0", "--sid="+*sid)
		if err != nil {
			return fmt.Errorf("create the service: %w", err)
		}
		defer s.Close()
		err = s.SetRecoveryActions([]mgr.RecoveryAction{{Type: mgr.ServiceRestart, Delay: restartAfter}}, forgotten)
		if err = errors.Join(err, s.Start()); err != nil {
			return fmt.Errorf("start the service: %w", err)
		}
		return nil
	}
}

// wintun is the driver's library, which Windows looks for beside the program.
const wintun = "wintun.dll"

// uninstall ends the service, which undoes what it has done, and removes it
// and its files. It is no error if there is none.
func uninstall() error {
	m, err := mgr.Connect()
	if err != nil {
		return fmt.Errorf("connect to the service manager: %w", err)
	}
	defer m.Disconnect()
	s, err := m.OpenService(serviceName)
	if err == nil {
		err = end(s)
		s.Close() // only then it is really deleted
	}
	if err != nil && !errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST) {
		return fmt.Errorf("remove the service: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, path := range []string{handover.Binary, filepath.Join(filepath.Dir(handover.Binary), wintun), logFile()} {
		if filepath.Dir(path) == filepath.Dir(self) {
			continue // what runs cannot be removed
		}
		if err := remove(path); err != nil {
			return err
		}
	}
	return nil
}

// remove waits for the end of a process that says it has ended.
func remove(path string) error {
	for until := time.Now().Add(patience); ; time.Sleep(again) {
		err := os.Remove(path)
		if err == nil || errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if time.Now().After(until) {
			return err
		}
	}
}

// end stops the service, waits, and deletes it.
func end(s *mgr.Service) error {
	_, err := s.Control(svc.Stop)
	if err != nil && !errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) {
		return err
	}
	for until := time.Now().Add(patience); ; time.Sleep(again) {
		q, err := s.Query()
		switch {
		case err != nil:
			return err
		case q.State == svc.Stopped:
			return s.Delete()
		case time.Now().After(until):
			return errors.New("it does not end")
		}
	}
}

func copyFile(from, to string) error {
	if from == to {
		return nil
	}
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r)
	return errors.Join(err, w.Close())
}
