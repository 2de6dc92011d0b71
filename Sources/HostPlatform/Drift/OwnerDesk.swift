internal import Dispatch
internal import Model
internal import Synchronization

/// Asks whose a file is, one question after the other and away from everything that is in a hurry: the answer may take
/// the reading of a whole image.
final class OwnerDesk: Sendable {
    private struct Question: Hashable {
        var image: Digest
        var path: String
    }

    private enum Limit {
        /// Answers that are remembered: what drifts in one instance of an image often does in all.
        static let remembered = 256
    }

    private let queue = DispatchQueue(label: "kiln.owners")
    private let known = Mutex<[Question: String?]>([:])
    private let ask: @Sendable (Digest, String) -> String?

    init(_ ask: @escaping @Sendable (Digest, String) -> String?) { self.ask = ask }

    /// Calls `answer` with the owner, later and only where there is one.
    func find(_ path: String, of image: Digest, _ answer: @escaping @Sendable (String) -> Void) {
        queue.async { [self] in
            let question = Question(image: image, path: path)
            let owner = known.withLock { $0[question] } ?? ask(image, path)
            known.withLock { known in
                if known.count >= Limit.remembered { known = [:] }
                known[question] = .some(owner)
            }
            if let owner { answer(owner) }
        }
    }
}
