package dns

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
)

// org.freedesktop.resolve1(5)
const (
	resolvedName = "org.freedesktop.resolve1"
	resolvedPath = "/org/freedesktop/resolve1"
	manager      = resolvedName + ".Manager."
	noSuchLink   = resolvedName + ".NoSuchLink"
)

// patience is how long systemd-resolved may take.
const patience = 5 * time.Second

// resolved speaks with systemd-resolved.
type resolved struct {
	conn   *dbus.Conn
	ctx    context.Context
	cancel context.CancelFunc
}

// dialResolved returns nil when systemd-resolved does not run.
func dialResolved() *resolved {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		cancel()
		return nil
	}
	r := &resolved{conn: conn, ctx: ctx, cancel: cancel}
	var runs bool
	if err := conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, resolvedName).Store(&runs); err != nil || !runs {
		r.close()
		return nil
	}
	return r
}

func (r *resolved) close() {
	r.conn.Close()
	r.cancel()
}

func (r *resolved) call(method string, args ...any) error {
	err := r.conn.Object(resolvedName, resolvedPath).CallWithContext(r.ctx, manager+method, 0, args...).Err
	if err != nil {
		return fmt.Errorf("systemd-resolved: %s: %w", method, err)
	}
	return nil
}

type (
	linkServer struct {
		Family  int32
		Address []byte
	}
	linkDomain struct {
		Name    string
		Routing bool
	}
)

// set gives the link its server, which is asked for the domains alone.
func (r *resolved) set(link int, d handover.DNS) error {
	family := int32(unix.AF_INET)
	if d.Server.Is6() {
		family = unix.AF_INET6
	}
	var domains []linkDomain
	for _, s := range d.Search {
		domains = append(domains, linkDomain{Name: s})
	}
	for _, s := range d.Domains {
		if !slices.Contains(d.Search, s) {
			domains = append(domains, linkDomain{Name: s, Routing: true})
		}
	}
	servers := []linkServer{{family, d.Server.AsSlice()}}
	err := r.call("SetLinkDNS", int32(link), servers)
	for ; missing(err) && r.ctx.Err() == nil; err = r.call("SetLinkDNS", int32(link), servers) {
		time.Sleep(10 * time.Millisecond) // it has yet to hear of the new link
	}
	if err != nil {
		return err
	}
	err = errors.Join(r.call("SetLinkDomains", int32(link), domains), r.call("SetLinkDefaultRoute", int32(link), false))
	for _, feature := range []string{"LLMNR", "MulticastDNS", "DNSOverTLS", "DNSSEC"} { // the cluster has none of them
		err = errors.Join(err, r.call("SetLink"+feature, int32(link), "no"))
	}
	if err != nil {
		return err
	}
	return r.call("FlushCaches")
}

// revert makes the link one without DNS. It is no error if it is gone.
func (r *resolved) revert(link int) error {
	if err := r.call("RevertLink", int32(link)); !missing(err) {
		return err
	}
	return nil
}

// missing says that systemd-resolved does not know the link.
func missing(err error) bool {
	var derr dbus.Error
	return errors.As(err, &derr) && derr.Name == noSuchLink
}
