// Package local is the laptop's end of intercepts: it knows which local
// program a flow belongs to, by the Intercept objects that name this session,
// and connects the two.
package local
