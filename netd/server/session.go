package server

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/kubectl-intercept/kubectl-intercept/netd/dns"
	"github.com/kubectl-intercept/kubectl-intercept/netd/handover"
	"github.com/kubectl-intercept/kubectl-intercept/netd/journal"
	"github.com/kubectl-intercept/kubectl-intercept/netd/route"
	"github.com/kubectl-intercept/kubectl-intercept/netd/tun"
)

// maxDevices is how many sessions may have a network at once.
const maxDevices = 64

// session is what one client has.
type session struct {
	run, release string
	log          *slog.Logger
	// offer lets a connection have a device's packets, until withdraw.
	offer func(io.ReadWriteCloser) (token string, withdraw func())

	dns    *dns.Laptop
	page   *journal.Page // nil while there is no network
	tun    *tun.Device
	config *handover.Config
	state  route.State
	made   handover.Network

	withdraw func() // nil if nothing is offered
}

// open makes the network. The file, nil if packets are offered, is the
// caller's. After an error nothing is left.
func (s *session) open(c *handover.Config) (*handover.Network, *os.File, error) {
	if s.page != nil {
		return nil, nil, errors.New("open: this connection has a network already; update it")
	}
	s.dns = dns.New(s.run)
	mode, state, err := s.plan(c, "")
	if err != nil {
		return nil, nil, err
	}
	d, err := s.device()
	if err != nil {
		return nil, nil, err
	}
	s.made.Interface, s.made.Offload, s.made.Version = d.Name, d.Offload, s.release
	n, err := s.apply(c, mode, state)
	if err != nil {
		return nil, nil, errors.Join(err, s.undo())
	}
	if d.Packets != nil {
		n.Packets, s.withdraw = s.offer(d.Packets)
	}
	s.log.Info("network is there", "interface", d.Name, "offload", d.Offload, "routes", len(c.Routes), "dns", n.DNSMode)
	return n, d.File, nil
}

// device opens a TUN of a name that nobody has, after writing it down.
func (s *session) device() (*tun.Device, error) {
	for i := range maxDevices {
		name := fmt.Sprintf("%s%d", tun.Prefix, i)
		page, err := journal.Claim(filepath.Join(s.run, "journal"), name)
		if errors.Is(err, journal.ErrTaken) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := page.Write(journal.Record{Interface: name}); err != nil {
			return nil, errors.Join(err, page.Done())
		}
		d, err := tun.Open(name)
		if err == nil {
			s.page, s.tun = page, d
			return d, nil
		}
		if err := errors.Join(err, page.Done()); !errors.Is(err, tun.ErrTaken) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%d sessions have a network already: disconnect one", maxDevices)
}

// update changes the network. After an error it is as it was.
func (s *session) update(c *handover.Config) (*handover.Network, error) {
	if s.page == nil {
		return nil, errors.New("update: there is no network yet; open it")
	}
	mode, state, err := s.plan(c, s.made.Interface)
	if err != nil {
		return nil, err
	}
	before := s.config
	n, err := s.apply(c, mode, state)
	if err == nil || before == nil {
		return n, err
	}
	return nil, errors.Join(err, s.setDNS(s.made.DNSMode, before))
}

// plan judges what is wanted by what the machine has, and changes nothing.
func (s *session) plan(c *handover.Config, own string) (mode string, state route.State, err error) {
	mode, s.made.Resolvers, err = s.dns.Find()
	if err != nil {
		return "", state, err
	}
	have, err := route.Read(own)
	if err != nil {
		return "", state, err
	}
	if err := handover.Refuse(route.Conflicts(c, have, s.made.Resolvers)); err != nil {
		return "", state, err
	}
	return mode, route.State{MTU: c.MTU, Addresses: c.Addresses, Routes: route.RoutesToAdd(c, have)}, nil
}

// apply makes addresses, routes and DNS be as wanted, or as they were; DNS may
// be in between then.
func (s *session) apply(c *handover.Config, mode string, state route.State) (*handover.Network, error) {
	var skipped []netip.Prefix
	if !route.HasIPv6(s.made.Interface) {
		if state, skipped = state.Without6(); c.DNS.Server.Is6() {
			return nil, fmt.Errorf("dns server %s: this machine has no IPv6; take an address of IPv4", c.DNS.Server)
		}
	}
	note := s.page.Last()
	note.Addresses = append(slices.Clone(state.Addresses), s.state.Addresses...)
	if err := s.page.Write(note); err != nil {
		return nil, err
	}
	if err := route.Apply(s.made.Interface, s.state, state); err != nil {
		return nil, err
	}
	if err := s.setDNS(mode, c); err != nil {
		if s.state.MTU > 0 {
			err = errors.Join(err, route.Apply(s.made.Interface, state, s.state))
		}
		return nil, err
	}
	s.config, s.state = c, state
	s.made.Skipped, s.made.DNSMode = skipped, ""
	if c.DNS.Server.IsValid() {
		s.made.DNSMode = mode
	}
	n := s.made
	n.Resolvers = slices.Clone(n.Resolvers)
	return &n, nil
}

func (s *session) setDNS(mode string, c *handover.Config) error {
	if c.DNS.Server.IsValid() {
		note := s.page.Last()
		note.DNS = mode
		if err := s.page.Write(note); err != nil {
			return err
		}
	}
	return s.dns.Set(mode, s.made.Interface, c.DNS)
}

// undo is done with everything; what fails stays in the journal.
func (s *session) undo() error {
	if s.page == nil {
		return nil
	}
	err := s.dns.Undo()
	if s.withdraw != nil {
		s.withdraw()
		s.withdraw = nil
	}
	s.tun.Close()
	err = errors.Join(err, route.Delete(s.made.Interface))
	route.EndConnections(s.page.Last().Addresses)
	if err == nil {
		err = s.page.Done()
	} else {
		s.page.Close()
	}
	s.log.Info("network is gone", "interface", s.made.Interface)
	s.page, s.tun, s.config, s.state, s.made = nil, nil, nil, route.State{}, handover.Network{}
	return err
}

// Recover undoes what processes that are dead have left.
func Recover(run string, log *slog.Logger) error {
	pages, err := journal.Left(filepath.Join(run, "journal"))
	for _, p := range pages {
		name := p.Last().Interface
		if name != "" {
			log.Info("undoing what a killed intercept-netd left", "interface", name)
			if derr := route.Delete(name); derr != nil {
				err = errors.Join(err, derr)
				p.Close()
				continue
			}
			route.EndConnections(p.Last().Addresses)
		}
		err = errors.Join(err, p.Done())
	}
	return errors.Join(err, dns.New(run).Recover())
}
