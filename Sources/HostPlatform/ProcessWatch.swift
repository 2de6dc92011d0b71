internal import CLinux
internal import Dispatch
internal import Glibc
internal import Model
internal import Synchronization

/// Tells when a process that we care about ends, and reaps it where it is our child.
package final class ProcessWatch: Sendable {
    /// One element stands for any number of changes since the last look.
    package let changes: AsyncStream<Void>
    private let signal: AsyncStream<Void>.Continuation
    private let queue = DispatchQueue(label: "kiln.processes")
    private let sources = Mutex<[String: [Source]]>([:])

    /// DispatchSource is thread-safe, and only cancelled after it was made.
    private struct Source: @unchecked Sendable {
        let source: any DispatchSourceRead
    }

    package init() {
        (changes, signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    deinit {
        let all = sources.withLock { $0.values.flatMap { $0 } }
        for source in all { source.source.cancel() }
        signal.finish()
    }

    func notify() { signal.yield() }

    /// Watches processes under a name until they end or `forget` is called. One that has ended already counts as ended.
    func watch(_ name: String, _ processes: [LiveProcess]) {
        for process in processes {
            guard let descriptor = process.open() else {
                signal.yield()
                continue
            }
            let source = DispatchSource.makeReadSource(fileDescriptor: descriptor.number, queue: queue)
            let signal = signal
            let held = Source(source: source)
            source.setEventHandler {
                // A child of ours would stay a zombie; for any other process this fails and does nothing.
                var status: Int32 = 0
                _ = kiln_pidfd_wait(descriptor.number, 0, &status)
                held.source.cancel()
                signal.yield()
            }
            // The descriptor must stay open until the source is done with it.
            source.setCancelHandler { withExtendedLifetime(descriptor) {} }
            sources.withLock { $0[name, default: []].append(held) }
            source.resume()
        }
    }

    func forget(_ name: String) {
        let old = sources.withLock { $0.removeValue(forKey: name) }
        for source in old ?? [] { source.source.cancel() }
    }

    /// Waits until a process has ended; false where it still runs after `limit`.
    func end(of process: LiveProcess, limit: Span) async -> Bool {
        guard let descriptor = process.open() else { return true }
        if limit.milliseconds <= 0 { return !process.isAlive }
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isResumed = Mutex(false)
            let resume: @Sendable () -> Void = {
                if isResumed.withLock({ done in
                    defer { done = true }; return !done
                }) {
                    continuation.resume()
                }
            }
            let source = DispatchSource.makeReadSource(fileDescriptor: descriptor.number, queue: queue)
            let timer = DispatchSource.makeTimerSource(queue: queue)
            let both = Pair(source: source, timer: timer)
            let finish: @Sendable () -> Void = {
                var status: Int32 = 0
                _ = kiln_pidfd_wait(descriptor.number, 0, &status)
                both.source.cancel()
                both.timer.cancel()
                resume()
            }
            source.setEventHandler(handler: finish)
            source.setCancelHandler { withExtendedLifetime(descriptor) {} }
            timer.schedule(deadline: .now() + .milliseconds(limit.milliseconds))
            timer.setEventHandler(handler: finish)
            source.resume()
            timer.resume()
        }
        return !process.isAlive
    }

    private struct Pair: @unchecked Sendable {
        let source: any DispatchSourceRead
        let timer: any DispatchSourceTimer
    }
}
