// Package lab is what the end-to-end tests are written with: clusters with
// the product in them, laptops of users, callers, and conditions to wait for.
//
//	l := lab.New(t, clusters)                     // a cluster and a namespace for itself
//	l.Apply("quote.yaml")
//	alice := l.Laptop("alice")                    // may edit the namespace
//	program := alice.Serve("alice")
//	alice.Intercept("add", "quote", "--port", program.To("http"))
//	l.Answers(l.Service("quote", "http"), "alice")
//
// Everything that a Lab makes goes with the test. Everything waits for a
// condition with a deadline; nothing sleeps.
package lab
