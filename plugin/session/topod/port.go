// Package topod is the ports of localhost that lead to the same ports in the pod that an
// intercept stands in for: those of the pod's other containers, and what these reach there
// by their localhost alone.
package topod

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kubectl-intercept/kubectl-intercept/manager/tunnel/frame"
)

// Port is one of them.
type Port struct {
	Number   uint16
	Protocol frame.Protocol // TCP or UDP
}

// String is as people type it: "5432" or "53/udp".
func (p Port) String() string {
	if p.Protocol == frame.UDP {
		return strconv.Itoa(int(p.Number)) + "/udp"
	}
	return strconv.Itoa(int(p.Number))
}

// Parse reads PORT[/UDP].
func Parse(text string) (Port, error) {
	number, protocol, named := strings.Cut(text, "/")
	n, err := strconv.ParseUint(number, 10, 16)
	p := Port{Number: uint16(n)}
	switch {
	case named && strings.EqualFold(protocol, "udp"):
		p.Protocol = frame.UDP
	case named && !strings.EqualFold(protocol, "tcp"):
		err = strconv.ErrSyntax
	}
	if err != nil || n == 0 {
		return Port{}, fmt.Errorf("%q: write PORT or PORT/UDP, for example 5432 or 8125/udp", text)
	}
	return p, nil
}

// ParseAll reads ports, each of which may be there once.
func ParseAll(list []string) (all []Port, err error) {
	for _, text := range list {
		p, err := Parse(text)
		switch {
		case err != nil:
			return nil, err
		case slices.Contains(all, p):
			return nil, fmt.Errorf("%s is there twice", p)
		}
		all = append(all, p)
	}
	return all, nil
}

// Format is ports as one word, for state.Program.
func Format(all []Port) string {
	var list []string
	for _, p := range all {
		list = append(list, p.String())
	}
	return strings.Join(list, ",")
}

// unformat is the inverse of Format.
func unformat(text string) ([]Port, error) {
	if text == "" {
		return nil, nil
	}
	return ParseAll(strings.Split(text, ","))
}
