// Package pause keeps the processes of a container from running, and lets them go on.
//
// A thread of the agent attaches itself to every thread of the container as a debugger does
// (ptrace: PTRACE_SEIZE, PTRACE_INTERRUPT), and does nothing further. The kernel ends what a
// debugger holds when the debugger ends, by whatever cause: a crash, SIGKILL and the
// out-of-memory killer included. So nothing else has to watch the agent.
//
// SIGSTOP would not do. The agent is in the PID namespace of the container, and process 1 of
// a namespace, which is nearly always the application, ignores the SIGSTOP of others in the
// namespace. It would also be seen by the parents of the processes, and would stay when the
// agent is killed. The cgroup freezer is out of reach: a container sees no cgroup but its own,
// and may not write even there.
//
// What a stopped process waits for goes on: its timers expire, its connections stay open until
// the other ends give up, and signals, such as SIGTERM, are delivered when it runs again.
// SIGKILL ends it at once.
package pause
