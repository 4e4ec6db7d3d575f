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

// Table is the nftables table of an ephemeral agent. Its methods may be called
// concurrently.
type Table struct {
	mu     sync.Mutex
	conn   *conn
	exists bool
}

// Open opens the netlink socket of the table. It does not make the table in the kernel.
func Open() (*Table, error) {
	c, err := dial()
	if err != nil {
		return nil, err
	}
	return &Table{conn: c}, nil
}

// Set replaces the rules by the rules for ports in one transaction. Ports that were in
// the table before stay redirected throughout. Then Set reads the rules back from the
// kernel and verifies them. If there are no ports, Set removes all redirects but keeps
// the table, because redirected connections would end with the table. Drop removes it.
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

// Drop removes the table. That ends all redirected connections.
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

// Close closes the netlink socket. The kernel then removes the table.
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

// explain adds the likely cause to an error of the kernel.
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
