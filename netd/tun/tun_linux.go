package tun

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

const (
	device = "/dev/net/tun"
	// headerSize is that of struct virtio_net_hdr without num_buffers.
	headerSize = 10
	// offloads are what the session's netstack takes: checksums not yet
	// computed, and TCP segments larger than the MTU (virtio 1.1, 5.1.6).
	offloads = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6
)

// Prefix begins the names of the devices.
const Prefix = "intercept"

// Open makes the device of a name; the error may be ErrTaken. Without offload
// where the kernel has none.
func Open(name string) (*Device, error) {
	d, err := open(name, unix.IFF_VNET_HDR)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTTY) {
		d, err = open(name, 0)
	}
	switch {
	case errors.Is(err, unix.EBUSY):
		return nil, fmt.Errorf("open TUN %s: %w", name, ErrTaken)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV):
		return nil, fmt.Errorf("open TUN: this kernel has no %s: modprobe tun (%w)", device, err)
	case err != nil:
		return nil, fmt.Errorf("open TUN %s: %w", name, err)
	}
	return d, nil
}

func open(name string, header uint16) (*Device, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_TUN_EXCL | header)
	fd, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
	if err == nil && header != 0 {
		err = errors.Join(unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, headerSize), unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offloads))
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return &Device{Name: name, File: os.NewFile(uintptr(fd), device), Offload: header != 0}, nil
}
