package listen

import (
	"crypto/tls"
	"os"
	"sync"
	"time"

	"github.com/segue-deploy/segue"
)

// recheck is how often a certificate's files are looked at, at the most.
const recheck = 5 * time.Second

// Certificate is a certificate and key from files, read anew when they change. All methods may be called at the same time.
type Certificate struct {
	certFile, keyFile string

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]os.FileInfo
	checked time.Time
	err     error
}

// LoadCertificate reads a PEM certificate chain and its key. KindInvalid, with the files' names, when they are none or do not fit.
func LoadCertificate(certFile, keyFile string) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Certificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return segue.Errorf(segue.KindInvalid, "read certificate %s and key %s: %w", c.certFile, c.keyFile, err).
			WithHint("both must be PEM files, the certificate with its chain, and the key must belong to it")
	}
	c.current, c.stamp = &pair, c.stat()
	return nil
}

func (c *Certificate) stat() (info [2]os.FileInfo) {
	info[0], _ = os.Stat(c.certFile)
	info[1], _ = os.Stat(c.keyFile)
	return info
}

// Get gives the present certificate; it fits tls.Config.GetCertificate. Files that changed and cannot be read leave the old one in use;
// Err tells of it.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.checked) >= recheck {
		c.checked = now
		if c.changed() {
			c.err = c.load()
		}
	}
	return c.current, nil
}

// Reload reads the files now.
func (c *Certificate) Reload() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = c.load()
	return c.err
}

// Err is what kept the latest change of the files from being used; nil when nothing did.
func (c *Certificate) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

func (c *Certificate) changed() bool {
	for i, now := range c.stat() {
		old := c.stamp[i]
		if now == nil || old == nil || !now.ModTime().Equal(old.ModTime()) || now.Size() != old.Size() || !os.SameFile(now, old) {
			return true
		}
	}
	return false
}
