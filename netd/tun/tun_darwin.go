package tun

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Prefix begins the names of the devices. The system names them all utun; VPNs
// take the lowest numbers, which ours shall never be mistaken for.
const Prefix = "utun40"

// protocol is SYSPROTO_CONTROL of sys/sys_domain.h.
const protocol = 2

// control is the name of the kernel's part, in net/if_utun.h.
const control = "com.apple.net.utun_control"

// Open makes the device of a name; the error may be ErrTaken. Each packet has
// the four bytes of its address family in front.
func Open(name string) (*Device, error) {
	var unit uint32
	if _, err := fmt.Sscanf(name, "utun%d", &unit); err != nil {
		return nil, fmt.Errorf("open TUN %s: not a name of utun: %w", name, err)
	}
	fd, err := unix.Socket(unix.AF_SYSTEM, unix.SOCK_DGRAM, protocol)
	if err != nil {
		return nil, fmt.Errorf("open TUN: %w", err)
	}
	unix.CloseOnExec(fd)
	info := &unix.CtlInfo{}
	copy(info.Name[:], control)
	if err = unix.IoctlCtlInfo(fd, info); err == nil {
		err = unix.Connect(fd, &unix.SockaddrCtl{ID: info.Id, Unit: unit + 1})
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		unix.Close(fd)
		if errors.Is(err, unix.EBUSY) {
			err = ErrTaken
		}
		return nil, fmt.Errorf("open TUN %s: %w", name, err)
	}
	return &Device{Name: name, File: os.NewFile(uintptr(fd), name)}, nil
}
