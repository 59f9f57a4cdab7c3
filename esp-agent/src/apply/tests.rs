mod crash;
mod failure;
mod random;
mod world;
