package gateway

import "time"

// SetReaderTimeout shortens how long a reader may take nothing.
func (g *Gateway) SetReaderTimeout(d time.Duration) { g.readerTimeout = d }
