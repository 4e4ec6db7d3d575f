package capture

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Table is the agent's rules in the kernel. Its methods may be called
// concurrently.
type Table struct {
	mu     sync.Mutex
	conn   *conn
	exists bool
}

// Open readies the table without making anything in the kernel yet.
func Open() (*Table, error) {
	c, err := dial()
	if err != nil {
		return nil, err
	}
	return &Table{conn: c}, nil
}

// Set makes the rules those of ports, in one step: a packet meets either the old
// rules or the new ones, and ports in both are not disturbed. It reads back what
// the kernel holds. Without ports the table stays, without a redirect, because
// redirected connections end with it; Drop removes it.
func (t *Table) Set(ports []Port) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(ports) == 0 && !t.exists {
		return nil
	}
	var rules []rule
	for _, p := range ports {
		rules = append(rules, rulesFor(p)...)
	}
	if len(ports) == 0 {
		rules = append(rules, draining())
	}
	b := &builder{}
	if t.exists {
		b.add(delRules())
	} else {
		b.add(newTable(tableName, tableOwner))
		for _, c := range baseChains() {
			b.add(newChain(tableName, c))
		}
	}
	for _, r := range rules {
		b.add(newRule(tableName, r))
	}
	if b.err != nil {
		return b.err
	}
	if err := t.conn.batch(b.messages); err != nil {
		return explain(err, t.exists)
	}
	t.exists = true
	return t.verify(rules)
}

// Drop removes the table. Connections that came through it do not outlive it.
func (t *Table) Drop() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.exists {
		return nil
	}
	m, err := delTable(tableName)
	if err != nil {
		return err
	}
	if err := t.conn.batch([]message{m}); err != nil {
		return fmt.Errorf("delete nftables table %s: %w", tableName, err)
	}
	t.exists = false
	return nil
}

// Close ends the netlink connection, and with it the table.
func (t *Table) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conn.close()
	t.exists = false
}

// verify compares the kernel's rules with those wanted, by comment and number.
func (t *Table) verify(want []rule) error {
	missing := map[string]int{}
	for _, r := range want {
		missing[r.chain+" "+r.comment]++
	}
	m, err := request(unix.NFT_MSG_GETRULE, 0, func(e *netlink.AttributeEncoder) error {
		e.String(unix.NFTA_RULE_TABLE, tableName)
		return nil
	})
	if err != nil {
		return err
	}
	err = t.conn.dump(m, func(body []byte) error {
		table, key, err := decodeRule(body)
		if err == nil && table == tableName {
			missing[key]--
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read back nftables rules: %w", err)
	}
	for _, key := range slices.Sorted(maps.Keys(missing)) {
		if n := missing[key]; n != 0 {
			return fmt.Errorf("read back nftables rules: %q is %d times fewer than set", key, n)
		}
	}
	return nil
}

// explain says what a refusal of the kernel means.
func explain(err error, exists bool) error {
	what := "set nftables rules"
	switch {
	case errors.Is(err, unix.EPERM) && !exists:
		what = "set nftables rules: the agent needs the capability NET_ADMIN, " +
			"and no other agent may hold table " + tableName
	case errors.Is(err, unix.EEXIST):
		what = "set nftables rules: another agent holds table " + tableName
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		what = "set nftables rules: the kernel refuses a table with an owner " +
			"(Linux 5.12 and nf_tables with nat, redirect and reject are needed)"
	}
	return fmt.Errorf("%s: %w", what, err)
}
