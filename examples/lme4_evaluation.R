# The time lme4 takes for one evaluation of the REML criterion of InstEval, to put beside what
# mixed_model.py prints. From the root of the repository, with one thread for BLAS:
#
#     OPENBLAS_NUM_THREADS=1 Rscript examples/lme4_evaluation.R

suppressMessages(library(lme4))
data <- read.csv("examples/data/insteval.csv.gz")
data$s <- factor(data$s)
data$d <- factor(data$d)
criterion <- do.call(mkLmerDevfun, lFormula(y ~ 1 + (1 | s) + (1 | d), data, REML = TRUE))

theta <- c(0.276710651888068, 0.444220403456611)
times <- sapply(1:30, function(call) {
  time <- system.time(criterion(theta * (1 + 1e-3 * call)))
  c(cpu = time[["user.self"]] + time[["sys.self"]], wall = time[["elapsed"]])
})
median_ms <- 1e3 * apply(times, 1, median)
cat(sprintf("lme4 %s: %.1f ms CPU, %.1f ms wall; criterion %.8f at the optimum\n",
            packageVersion("lme4"), median_ms[["cpu"]], median_ms[["wall"]], criterion(theta)))
