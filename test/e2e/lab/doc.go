// Package lab is the toolkit of the end-to-end tests: clusters with the product in
// them, laptops of users, callers, and conditions to wait for.
//
//	l := lab.New(t, clusters)                     // a cluster and a namespace for itself
//	l.Apply("quote.yaml")
//	alice := l.Laptop("alice")                    // may edit the namespace
//	program := alice.Serve("alice")
//	alice.Intercept("add", "quote", "--port", program.To("http"))
//	l.Answers(l.Service("quote", "http"), "alice")
//
// A Lab removes everything that it made when the test ends. Its methods wait for
// conditions with a deadline instead of sleeping.
package lab
