internal import Synchronization

/// How far a transfer is.
package struct TransferProgress: Hashable, Sendable {
    package var bytesDone = 0
    package var bytesTotal = 0
    package var blobsDone = 0
    package var blobsTotal = 0
}

/// Counts what moved and tells somebody, not more often than a person can see.
package final class Meter: Sendable {
    private struct State {
        var progress = TransferProgress()
        var told = 0
    }

    /// Told again after so many bytes.
    private static let step = 4 << 20

    private let state = Mutex(State())
    private let tell: @Sendable (TransferProgress) -> Void

    package init(_ tell: @escaping @Sendable (TransferProgress) -> Void = { _ in }) { self.tell = tell }

    func expect(blobs: Int, bytes: Int) {
        update {
            $0.blobsTotal += blobs; $0.bytesTotal += bytes
        }
    }

    /// Bytes that moved; negative where they have to move once more.
    func advance(_ bytes: Int) {
        let news: TransferProgress? = state.withLock {
            $0.progress.bytesDone += bytes
            guard abs($0.progress.bytesDone - $0.told) >= Meter.step else { return nil }
            $0.told = $0.progress.bytesDone
            return $0.progress
        }
        if let news { tell(news) }
    }

    func finishBlob() { update { $0.blobsDone += 1 } }

    private func update(_ change: (inout TransferProgress) -> Void) {
        tell(
            state.withLock {
                change(&$0.progress)
                return $0.progress
            })
    }
}
