/// Tells for the table at the end of `make test` how often a program of somebody else's was asked, and was of our mind.
package func judged(
    by tool: String, _ what: String, accepted: Int = 0, of good: Int = 0, refused: Int = 0, of bad: Int = 0
) {
    print("judged | \(tool) | \(what) | \(accepted) | \(good) | \(refused) | \(bad)")
}
