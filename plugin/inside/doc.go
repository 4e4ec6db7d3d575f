// Package inside gives one program a network of its own, without root: user,
// network and mount namespaces that hold it and nobody else.
//
//	kubectl intercept run            laptop's network
//	 │ control                        ▲ dials for the program
//	 ▼                                │
//	supervisor ◄─ netd/handover ── session process
//	 │  TUN ═════════════════════════ netstack
//	 ▼                                the program's network
//	program
//
// The supervisor is this very binary again, inside. It opens a TUN in there,
// leads every address and the program's DNS into it, and hands it to the
// session as intercept-netd does (netd/handover). It also gives out sockets
// that are connected to the program's own localhost. The laptop itself is not
// changed in any way. When the program ends, or whoever started all this, the
// supervisor ends what is left in the namespaces, and they are gone.
package inside

// Command is the name of the supervisor's hidden command; the program's
// command line follows it after "--".
const Command = "inside"
