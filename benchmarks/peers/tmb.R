# tmb.R: the selected inverse of TMB (Kristensen, Nielsen, Berg, Skaug, Bell, JSS 70(5), 2016) as a peer.
#
#     Rscript tmb.R FILE
#
# TMB inverts, on the pattern of the factor, a supernodal factor that CHOLMOD has made for R's package Matrix.
# A process that speaks the protocol of peer.h.
suppressMessages({
  library(Matrix)
  library(TMB)
})

read_matrix <- function(path) {
  file <- file(path, "rb")
  on.exit(close(file))
  int64 <- function(count) readBin(file, "integer", 2 * count)[c(TRUE, FALSE)]  # the low halves
  size <- int64(2)
  ptr <- int64(size[1] + 1)
  rows <- readBin(file, "integer", size[2])
  values <- readBin(file, "double", size[2])
  new("dsCMatrix", Dim = rep(size[1], 2L), p = ptr, i = rows, x = values, uplo = "L")
}

reply <- function(...) {
  cat(sprintf(...), "\n", sep = "")
  flush(stdout())
}

A <- read_matrix(commandArgs(trailingOnly = TRUE)[1])
n <- nrow(A)
L <- Cholesky(A, super = TRUE, LDL = FALSE)
calls <- 0

scaled <- function() {
  calls <<- calls + 1
  matrix <- A
  matrix@x <- A@x * (1 + 1e-3 * (calls %% 1000))
  matrix
}

selected_inverse <- function(factor) .Call("tmb_invQ", factor, PACKAGE = "TMB")

measure <- function(seconds) {
  wall <- cpu <- numeric()
  while (length(wall) == 0 || sum(wall) < seconds) {
    factor <- update(L, scaled())
    gc()  # what earlier calls have left would be collected during this one
    cpu_start <- sum(proc.time()[1:2])
    start <- as.numeric(Sys.time())
    selected_inverse(factor)
    wall <- c(wall, as.numeric(Sys.time()) - start)
    cpu <- c(cpu, sum(proc.time()[1:2]) - cpu_start)
  }
  # The processor's clock of R counts milliseconds: the mean, where others report the median.
  reply('{"seconds": %.9g, "cpu": %.9g, "calls": %d}', median(wall), mean(cpu), length(wall))
}

# The relative residual of a solve, or how far tr(A A^-1) is from n, if that is more.
check <- function() {
  factor <- update(L, A)
  b <- sin(seq_len(n))
  residual <- max(abs(A %*% solve(factor, b) - b)) / max(abs(b))
  P <- factor@perm + 1L
  trace <- sum(A[P, P] * selected_inverse(factor))
  reply('{"residual": %.3g}', max(residual, abs(trace / n - 1)))
}

reply(
  '{"version": "TMB %s", "flops": -1, "nonzeros": -1, "operations": ["selected_inverse"]}',
  packageVersion("TMB")
)
requests <- file("stdin", "r")
while (length(request <- readLines(requests, 1)) > 0) {
  fields <- strsplit(request, " ")[[1]]
  if (fields[1] == "check") check() else measure(as.numeric(fields[2]))
}
