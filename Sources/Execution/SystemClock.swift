internal import Foundation
package import Model
internal import Ports

/// The clock of the machine.
package struct SystemClock: Ports.Clock {
    package init() {}

    package var now: Instant { Instant(milliseconds: Int(Date().timeIntervalSince1970 * 1000)) }

    package func sleep(for span: Span) async throws { try await Task.sleep(for: span.duration) }
}
