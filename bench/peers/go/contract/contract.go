// Package contract is what a contestant and the benchmark say to each other: one line of JSON after the other.
//
// The contestant says `ready` once, when it has every object. Then it reads lines from standard input:
// `expect VALUE` arms it (it answers `armed`, and `seen` once the marker object carries VALUE), `collect` has it give
// back what memory it can (`collected`), and the end of the input ends it. Times of the CPU are those of the process.
package contract

import (
	"bufio"
	"encoding/json"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// Annotation is what a workload asks for backup with; the marker carries the awaited value in it.
	Annotation = "stash.appscode.com/backup-blueprint"
	// Marker is the name of the object whose annotation tells that all events before it have arrived.
	Marker = "marker"
)

// Contract is one contestant's side of the conversation.
type Contract struct {
	mutex    sync.Mutex
	started  time.Time
	spent    float64
	events   int
	expected string
	armed    float64
}

// Begin starts the clock: call it when the clients are made and before the first request.
func Begin() *Contract {
	return &Contract{started: time.Now(), spent: CPUSeconds()}
}

// Ready says that every object is there.
func (c *Contract) Ready(objects int, bytes int64) {
	say(map[string]any{
		"event":       "ready",
		"seconds":     time.Since(c.started).Seconds(),
		"cpu_seconds": CPUSeconds() - c.spent,
		"objects":     objects,
		"bytes":       bytes,
	})
}

// Event tells of an object that a handler was called with.
func (c *Contract) Event(name string, annotations map[string]string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.events++
	if name == Marker && c.expected != "" && annotations[Annotation] == c.expected {
		c.expected = ""
		say(map[string]any{
			"event":       "seen",
			"at":          float64(time.Now().UnixNano()) / 1e9,
			"cpu_seconds": CPUSeconds() - c.armed,
			"events":      c.events,
		})
	}
}

// Serve answers until the input ends.
func (c *Contract) Serve() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		command, value, _ := strings.Cut(lines.Text(), " ")
		switch command {
		case "expect":
			c.mutex.Lock()
			c.expected, c.events, c.armed = value, 0, CPUSeconds()
			c.mutex.Unlock()
			say(map[string]any{"event": "armed"})
		case "collect":
			debug.FreeOSMemory()
			debug.FreeOSMemory()
			say(map[string]any{"event": "collected"})
		}
	}
}

// CPUSeconds is what this process has used so far, in all of its threads.
func CPUSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func say(fields map[string]any) {
	line, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	os.Stdout.Write(append(line, '\n'))
}
