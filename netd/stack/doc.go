// Package stack is the network behind the TUN: every address there answers.
// It ends TCP connections, UDP flows and echo requests of the laptop's
// programs in user space (gVisor) and hands each of them to a Handler, which
// decides what happens. It never answers by itself: no SYN is accepted, no
// datagram refused and no ping answered that the Handler did not decide.
//
// It runs in the session's process, without privileges, over the descriptor
// that netd opened. With offload one read or write carries up to 64 KiB of a
// TCP stream (TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6 and a header of 10 bytes);
// without it every packet has at most the MTU.
package stack
