internal import CommandLineTool
internal import Execution
internal import Model
internal import SpecFile
internal import Synchronization

/// Who may go into instances, as `ROOT/policy.yaml` says now. Where that can no longer be read, what it said last goes on:
/// a slip in an emergency must not keep out whoever mends it, nor let in anybody else.
final class BreakGlassFile: Sendable {
    let path: String
    private let root: String
    private let last: Mutex<BreakGlassRule>

    /// Throws where the file is there and cannot be read.
    init(root: String) throws {
        self.root = root
        path = root + "/" + HostPolicy.name
        last = Mutex(try PolicyReader.breakGlass(root: root))
    }

    func stated() -> BreakGlass.Stated {
        last.withLock { last in
            do {
                last = try PolicyReader.breakGlass(root: root)
                return BreakGlass.Stated(last)
            } catch {
                return BreakGlass.Stated(last, problem: Failure.list(error)[0])
            }
        }
    }
}
