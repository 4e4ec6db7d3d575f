package space

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// SetUpNode gives a node its own /run, /var/lib and /var/log. They hide the
// machine's, so that a node's programs share no files there with the machine or with
// other nodes. /run is empty and in memory; dir contains the other two. The state
// folder of the cluster stays visible.
func (s Space) SetUpNode(state, dir string) error {
	return s.Do(func() error {
		// Mounts made inside appear in the node's containers, but not on the machine.
		if err := propagation(unix.MS_SLAVE); err != nil {
			return err
		}
		if err := propagation(unix.MS_SHARED); err != nil {
			return err
		}
		kept, err := os.Open(state)
		if err != nil {
			return err
		}
		defer kept.Close()
		for _, target := range []string{"/var/lib", "/var/log"} {
			source := filepath.Join(dir, target)
			if err := os.MkdirAll(source, 0o755); err != nil {
				return err
			}
			if err := bind(source, target); err != nil {
				return err
			}
		}
		if err := privateRun(); err != nil {
			return err
		}
		if err := os.MkdirAll(state, 0o755); err != nil {
			return err
		}
		return bind(fmt.Sprintf("/proc/thread-self/fd/%d", kept.Fd()), state)
	})
}

// copies is where intercept-netd keeps a copy of the laptop's resolv.conf.
const copies = "/var/lib/intercept-netd"

// SetUpLaptop gives a laptop its own /run, the file resolvConf as its
// /etc/resolv.conf, and a folder of its own for intercept-netd's copies of that file.
func (s Space) SetUpLaptop(resolvConf string) error {
	return s.Do(func() error {
		if err := propagation(unix.MS_SLAVE); err != nil {
			return err
		}
		kept, err := os.Open(resolvConf)
		if err != nil {
			return err
		}
		defer kept.Close()
		if err := privateRun(); err != nil {
			return err
		}
		if err := os.MkdirAll(copies, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", copies, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
			return fmt.Errorf("mount %s: %w", copies, err)
		}
		target := "/etc/resolv.conf"
		if link, err := os.Readlink(target); err == nil {
			if !filepath.IsAbs(link) {
				link = filepath.Join("/etc", link)
			}
			target = link
		}
		// /etc/resolv.conf may be a link into /run. The new /run is empty, so the
		// target must be made.
		if strings.HasPrefix(target, "/run/") {
			if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(target, nil, 0o644); err != nil {
				return err
			}
		}
		return bind(fmt.Sprintf("/proc/thread-self/fd/%d", kept.Fd()), target)
	})
}

func propagation(flag uintptr) error {
	if err := unix.Mount("", "/", "", flag|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("separate mounts: %w", err)
	}
	return nil
}

func privateRun() error {
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	return os.MkdirAll("/run/lock", 0o1777)
}

func bind(source, target string) error {
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", target, err)
	}
	return nil
}
